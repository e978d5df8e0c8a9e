"""The status of a target's newest rollback, read from its incident, which stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rollproof.errors import UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, RollbackRecord, load_incident
from rollproof.incident.journal import JournalEvent, Step, first_line, id_of, read_journal, steps_in
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.planning.unfinished import Unfinished, read_unfinished
from rollproof.record_names import JOURNAL, ROLLBACK, UNFINISHED
from rollproof.verdict import Verdict


class StepState(StrEnum):
    """The state of a step."""

    ENDED = "ended"
    FAILED = "failed"
    RUNNING = "running"
    CUT_OFF = "cut off"
    BROKEN = "broken"
    OPEN = "no end"  # it runs, or it was interrupted: not known which


_UNKNOWN = {StepState.RUNNING, StepState.OPEN, StepState.BROKEN}


@dataclass(slots=True)
class Ran:
    """A step that began; `text` is its result, or its error's first line."""

    name: str
    state: StepState
    seconds: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The known facts of one rollback. `runs` is the number of times it was begun or resumed.

    If the journal is broken, `steps` are the readable ones, and the last one says so.
    """

    incident: Incident
    record: RollbackRecord | None
    unfinished: Unfinished | None
    runs: int
    steps: tuple[Ran, ...]

    @property
    def verdict(self) -> Verdict:
        """*Passed* or *failed* when the rollback has ended, *broken* until that is known."""
        if self.record is None or any(step.state in _UNKNOWN for step in self.steps):
            return Verdict.BROKEN
        return self.record.verdict

    @property
    def failed(self) -> tuple[Ran, ...]:
        """The steps that failed or were interrupted."""
        return tuple(step for step in self.steps if step.state in {StepState.FAILED, StepState.CUT_OFF})


def newest_rollback(incidents: Path, target: str, *, running: bool | None) -> Status:
    """Return the status of the newest rollback of `target`; `running` is None if that is unknown."""
    names = (UNFINISHED, ROLLBACK)
    folders = {path.parent for name in names for path in incidents.glob(f"*/{name}")}
    of_target = [one for one in map(load_incident, sorted(folders)) if one.target == target]
    if not of_target:
        raise UsageProblem(
            what=f"rollback of {target}",
            expected="one that was begun",
            observed="none",
            source=str(incidents),
            hint=f"decide which one to begin: {typed('plan')}",
        )
    newest = max(of_target, key=_begun)
    return status_of(newest, running=running)


def status_of(incident: Incident, *, running: bool | None) -> Status:
    """Return the status of the rollback of `incident`; `running` is None if that is unknown."""
    records, broken = read_journal(incident.folder / JOURNAL)
    begins = [number for number, record in enumerate(records) if _begins(record)]
    steps = steps_of(records[begins[-1] :] if begins else records, running=running)
    if broken is not None:
        steps.append(Ran("the journal", StepState.BROKEN, text=broken.summary))
    elif not any(_begins(one) or one["event"] == ROLLBACK_BEGAN for one in records):
        # Each action is recorded: the journal was removed, or was broken and started again.
        steps.append(Ran("the journal", StepState.BROKEN, text="it holds nothing of this rollback"))
    return Status(incident, incident.rollback(), read_unfinished(incident), len(begins), tuple(steps))


def _begins(record: Mapping[str, Any]) -> bool:
    known = id_of(record) if record["event"] == JournalEvent.STARTED else None
    return known is not None and known.step is Step.ROLLBACK


def steps_of(records: Iterable[Mapping[str, Any]], *, running: bool | None) -> list[Ran]:
    """Return the steps of a journal's `records` in the order in which they began.

    A step without an end is *running* while its process runs, else *cut off*; with `running` None, *no end*.
    """
    without_end = {True: StepState.RUNNING, False: StepState.CUT_OFF, None: StepState.OPEN}[running]
    ran: list[Ran] = []
    for step in steps_in(records)[0]:
        if step.end is None:
            ran.append(Ran(step.name, without_end))
            continue
        ran.append(
            Ran(step.name, StepState(step.end["event"]), float(step.end["seconds"]), first_line(step.end))
        )
    return ran


def _begun(incident: Incident) -> str:
    unfinished = read_unfinished(incident)
    rollback = unfinished.record if unfinished is not None else incident.rollback()
    return rollback.started.wall if rollback is not None else ""
