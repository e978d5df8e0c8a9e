"""A round of trials, of faults, kills or drills: which are chosen, what each found, the record, the table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rollproof.errors import UsageProblem
from rollproof.system.files import write_whole


class Named(Protocol):
    """Something that a command line can choose."""

    @property
    def name(self) -> str:
        """Its name."""


Trial = TypeVar("Trial", bound=Named)


def chosen(trials: Sequence[Trial], patterns: Sequence[str]) -> list[Trial]:
    """Return the trials whose names match shell-style `patterns`, or all of them without a pattern.

    Raises:
        UsageProblem: a pattern matches no name.
    """
    for pattern in patterns:
        if not any(fnmatchcase(trial.name, pattern) for trial in trials):
            raise UsageProblem(
                what="name",
                expected="a name or a shell-style pattern of names",
                observed=pattern,
                source="the command line",
                hint=f"names: {', '.join(trial.name for trial in trials)}",
            )
    return [
        trial for trial in trials if not patterns or any(fnmatchcase(trial.name, one) for one in patterns)
    ]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One trial: what was `seen`, and what of that is `wrong`, "" if nothing. `facts` are for the record."""

    name: str
    seen: str
    wrong: str
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Round:
    """The results of a round so far, written to `record` after each."""

    title: str
    record: Path
    results: list[RoundResult] = field(default_factory=list)
    finished: bool = False

    @property
    def passed(self) -> bool:
        """Whether the round finished, and every result is right."""
        return self.finished and bool(self.results) and not any(result.wrong for result in self.results)

    def add(self, result: RoundResult) -> None:
        """Add a result."""
        self.results.append(result)
        self._write()

    def finish(self) -> None:
        """Say that no trial is left."""
        self.finished = True
        self._write()

    def _write(self) -> None:
        content = {
            "passed": self.passed,
            "finished": self.finished,
            "results": [asdict(result) for result in self.results],
        }
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.record, json.dumps(content, ensure_ascii=False, indent=1).encode(), mode=0o644)

    def show(self, console: Console) -> None:
        """Print the results, and how many are right."""
        table = Table("name", "result", "seconds", title=self.title)
        for result in self.results:
            seen = f"[bold red]{escape(result.wrong)}[/]" if result.wrong else escape(result.seen)
            table.add_row(escape(result.name), seen, f"{result.seconds:.1f}")
        console.print(table)
        right = sum(not result.wrong for result in self.results)
        console.print(f"{right} of {len(self.results)} as they must be", markup=False)


@contextmanager
def folder_for(root: Path) -> Iterator[Path]:
    """Yield a round's own folder for baselines and incidents."""
    parent = root / ".staging" / "rounds"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
