"""`python -m tests.schemas`: writes `docs/schemas`, the JSON Schema of each record for other programs.

Each schema is made from the dataclass that reads the record. `tests/unit/house/test_reference.py` is red if a
dataclass was changed and this was not run again.
"""

from __future__ import annotations

import json

from reports.answers.comparison import Comparison
from reports.answers.decision import AssessmentRecord, DecisionRecord
from reports.answers.rollback_lines import StatusRecord
from reports.terminal.document import Document
from rollproof.cli.before_commands import GateRecord
from rollproof.doctor.examination import Examination
from rollproof.incident.incident import RollbackRecord
from rollproof.incident.journal import JournalLine
from rollproof.incident.ledger import CheckResult, Planned, RunFacts
from rollproof.scale.ledger import PartLine
from rollproof.sealing.seal import Seal
from rollproof.system.record_files import adapter_of
from rollproof.verdict import RunVerdict
from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "schemas"
# Each schema's type, and the files that it describes.
RECORDS: dict[str, tuple[object, str]] = {
    "rollback": (RollbackRecord, "incidents/ID/rollback.json"),
    "verdict": (RunVerdict, "incidents/ID/verdict.json"),
    "journal-line": (
        JournalLine,
        "a line of incidents/ID/journal.jsonl, contacts.jsonl, response.jsonl, reopening.jsonl",
    ),
    "ledger-run": (RunFacts, "incidents/ID/ledger/NNNN/run.json"),
    "ledger-plan": (dict[str, Planned], "incidents/ID/ledger/NNNN/plan.json"),
    "ledger-line": (CheckResult, "a line of incidents/ID/ledger/NNNN/results.jsonl"),
    "parts-line": (PartLine, "a line of incidents/ID/parts/STORE-….jsonl"),
    "seal": (Seal, "incidents/ID/seal.json, signed as seal.json.sig"),
    "output-assess": (Document[AssessmentRecord], "what `assess --json` prints"),
    "output-plan": (Document[DecisionRecord], "what `plan --json` prints"),
    "output-rollback-status": (Document[StatusRecord], "what `rollback status --json` prints"),
    "output-gate": (Document[GateRecord], "what `gate --json` prints"),
    "output-compare": (Document[Comparison], "what `compare --json` prints"),
    "output-doctor": (Document[Examination], "what `doctor --json` prints"),
}


def schemas() -> dict[str, str]:
    """Return each record's schema, by file name."""
    return {
        f"{name}.schema.json": json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$comment": f"of {files}; written by `./run schemas`",
                **adapter_of(kind).json_schema(),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for name, (kind, files) in RECORDS.items()
    }


def main() -> None:
    """Write all schemas, and remove the files of those that no longer exist."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    every = schemas()
    for path in FOLDER.glob("*.schema.json"):
        if path.name not in every:
            path.unlink()
    for name, text in every.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
