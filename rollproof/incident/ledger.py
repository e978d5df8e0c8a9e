"""The ledger: the planned and the reported checks of every run of one incident, on disk.

A gate cannot live in memory: `pytest -m phase2` is another process than `pytest -m phase1`, and so is every
xdist worker. Each run has a folder `ledger/<number>/` with three files. `run.json` is written first,
`plan.json` once, by the first process to collect, and `results.jsonl` by the controller alone. Next to them,
each phase that began has a file that says when.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from rollproof.errors import Meaning
from rollproof.record_names import LEDGER, RUN_FACTS, RUN_PLAN, RUN_RESULTS
from rollproof.system.clock import Moment
from rollproof.system.files import LineWriter
from rollproof.system.record_files import (
    LEFT_OUT,
    as_json,
    load_lines,
    load_record,
    write_record,
)
from rollproof.verdict import Verdict, worst

BEGUN = "begun-{}.json"
"""The file of a run that says when a phase began."""
# As `begin` names it: other signs are digits too, and nobody else reads a number with more zeros.
_NUMBER = re.compile(r"[0-9]{4}|[1-9][0-9]{4,}")


@dataclass(frozen=True, slots=True)
class Planned:
    """The checks of one phase that a run will do; `partial` says why they are not all of them, or is None.

    `uncollected` tells whether that is because some could not be collected, and not because of a selection.
    """

    checks: tuple[str, ...]
    partial: str | None = None
    uncollected: bool = False


class NoteKind(StrEnum):
    """The kinds of notes."""

    SAID = "said"  # by a check, for people: a part left out, or only sampled
    WAIVED = "waived"  # a waiver let the check pass


@dataclass(frozen=True, slots=True)
class Note:
    """A note for the verdict; `by` is the name in the waiver, "" for other kinds."""

    text: str
    kind: NoteKind = NoteKind.SAID
    by: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check ended.

    `reason` is the first line of what it said, empty when it passed; `notes` are for the verdict either way.
    `means` is what its error means, and `hint` what to do about it.
    """

    check: str
    phase: str
    verdict: Verdict
    seconds: float
    reason: str
    finished: Moment
    notes: tuple[Note, ...] = field(default=(), metadata=LEFT_OUT)
    means: Meaning = field(default=Meaning.OTHER, metadata=LEFT_OUT)
    hint: str = field(default="", metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run's own record, `run.json`, written before its first check.

    `zero` is that of the phases' windows. `migration` is the full id of the commit that is to be promoted,
    where the run decides that. `limits` are the profile's, for readers of the record without the profile:
    see `rollproof.incident.limits`.
    """

    zero: Moment
    gated: bool
    started: Moment
    migration: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """When a phase of a run began, with the first check that its gate let through: `begun-PHASE.json`."""

    at: Moment


@dataclass(frozen=True, slots=True)
class Run:
    """One pytest run of an incident: a number, and a folder that only this run writes to."""

    number: int
    folder: Path

    @classmethod
    def begin(
        cls,
        incident: Path,
        zero: Moment,
        *,
        gated: bool,
        migration: str | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Self:
        """Take the next number; two processes at the same moment take different ones. See `RunFacts`."""
        ledger = incident / LEDGER
        ledger.mkdir(exist_ok=True)
        number = max((run.number for run in runs(incident)), default=0) + 1
        while True:
            folder = ledger / f"{number:04d}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            write_record(folder / RUN_FACTS, RunFacts(zero, gated, Moment.now(), migration, limits or {}))
            return cls(number=number, folder=folder)

    def facts(self) -> RunFacts | None:
        """Return the facts that `begin` recorded, or None if a kill came first; raises as `load_record`."""
        path = self.folder / RUN_FACTS
        return load_record(RunFacts, path) if path.exists() else None

    def plan(self) -> dict[str, Planned]:
        """Return the planned checks by phase, or {} before collection; raises as `load_record`."""
        path = self.folder / RUN_PLAN
        return load_record(dict[str, Planned], path) if path.exists() else {}

    def write_plan(self, plan: Mapping[str, Planned]) -> None:
        """Write the plan, unless another process of this run has: all collect the same checks."""
        path = self.folder / RUN_PLAN
        if not path.exists():
            write_record(path, plan)

    def results(self) -> dict[str, CheckResult]:
        """Return the reported results by check; of a check reported twice, the worse."""
        found: dict[str, CheckResult] = {}
        for result in load_lines(CheckResult, self.folder / RUN_RESULTS):
            before = found.get(result.check)
            if before is None or worst([before.verdict, result.verdict]) is result.verdict:
                found[result.check] = result
        return found

    def begin_phase(self, phase: str, at: Moment) -> None:
        """Record that `phase` begins, unless it has begun."""
        if self.begun(phase) is None:
            write_record(self.folder / BEGUN.format(phase), Begun(at))

    def begun(self, phase: str) -> Moment | None:
        """Return when `phase` began, or None if it has not."""
        path = self.folder / BEGUN.format(phase)
        return load_record(Begun, path).at if path.exists() else None

    def writer(self) -> ResultWriter:
        """Return a writer that appends to this run's results."""
        # Not synced: a result that is lost in a crash of the machine counts as never reported.
        return ResultWriter(self.folder / RUN_RESULTS, synced=False)


class ResultWriter(LineWriter):
    """Appends the results of checks to a file, as they end."""

    def write(self, result: CheckResult) -> None:
        """Append one result; raises `OSError` if it could not be written whole."""
        self.append(as_json(result))


def runs(incident: Path) -> list[Run]:
    """Return the runs of an incident, oldest first."""
    folders = [path for path in (incident / LEDGER).glob("[0-9]*") if _NUMBER.fullmatch(path.name)]
    return [Run(number=int(path.name), folder=path) for path in sorted(folders, key=lambda p: int(p.name))]
