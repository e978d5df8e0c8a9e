"""What a run of checks came to: its exit code, its output, and the results in its incident's ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """A run's exit code, its output, and its incident's folder."""

    code: int
    text: str
    incident: Path | None

    def results(self, run: int = 0) -> dict[str, dict[str, Any]]:
        """Return the ledger's results by the check's own name; run 0 is the latest."""
        assert self.incident is not None
        folders = sorted((self.incident / "ledger").iterdir())
        path = folders[run - 1] / "results.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        names = [record["check"].split("::")[-1] for record in records]
        assert len(names) == len(set(names)), f"a check was recorded twice: {names}"
        return dict(zip(names, records, strict=True))

    def verdicts(self) -> dict[str, str]:
        """Return the verdicts of the latest run by the check's own name."""
        return {name: record["verdict"] for name, record in self.results().items()}
