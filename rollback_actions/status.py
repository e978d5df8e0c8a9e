"""How the newest rollback of a target went: read from its incident, which stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fixtures.errors import UsageProblem
from fixtures.incident import JOURNAL, UNFINISHED, Incident, RollbackRecord, load_incident
from fixtures.journal import read_journal
from fixtures.rollbacks import ROLLBACK_BEGAN
from fixtures.verdict import Verdict
from rollback_actions.unfinished import Unfinished, incident_of_unfinished, read_unfinished

ROLLBACK = "rollback "  # how the outermost step of a rollback begins


class State(StrEnum):
    """How a step stands."""

    ENDED = "ended"
    FAILED = "failed"
    RUNNING = "running"
    CUT_OFF = "cut off"
    BROKEN = "broken"
    OPEN = "no end"  # it runs, or it was cut off: that cannot be known


_UNKNOWN = {State.RUNNING, State.OPEN, State.BROKEN}


@dataclass(slots=True)
class Ran:
    """A step that began; `text` is its result, or its error's first line."""

    name: str
    state: State
    seconds: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one rollback. `runs` counts how often it was begun or gone on with.

    Where the journal is broken, its steps are as many as can be read, and the last one says so.
    """

    incident: Incident
    record: RollbackRecord | None
    unfinished: Unfinished | None
    runs: int
    steps: tuple[Ran, ...]

    @property
    def verdict(self) -> Verdict:
        """*Passed* or *failed* when it ended, *broken* as long as that is not known."""
        if self.record is None or any(step.state in _UNKNOWN for step in self.steps):
            return Verdict.BROKEN
        return Verdict(self.record.verdict)

    @property
    def failed(self) -> tuple[Ran, ...]:
        """The steps that failed or were cut off."""
        return tuple(step for step in self.steps if step.state in {State.FAILED, State.CUT_OFF})


def newest_rollback(incidents: Path, target: str, runs: Callable[[str], bool | None]) -> Status:
    """Return the status of the newest rollback of `target`; `runs` says whether an incident's action runs.

    Raises:
        UsageProblem: there is none, or its record is damaged, or that of the incident of one that did not
            succeed. `ActionFailed`: its journal cannot be read.
    """
    names = (UNFINISHED, "rollback.json")
    folders = {path.parent for name in names for path in incidents.glob(f"*/{name}")}
    of_target = [incident for folder in sorted(folders) if (incident := _of_target(folder, target))]
    if not of_target:
        raise UsageProblem(
            what=f"rollback of {target}",
            expected="one that was begun",
            observed="none",
            source=str(incidents),
            hint="python -m rollback_actions plan says which one to begin",
        )
    newest = max(of_target, key=_begun)
    return status_of(newest, running=runs(newest.id))


def status_of(incident: Incident, *, running: bool | None) -> Status:
    """Return the status of the rollback of `incident`; `running` is None where that cannot be known.

    Raises:
        UsageProblem: its record is damaged. `ActionFailed`: its journal cannot be read.
    """
    records, broken = read_journal(incident.folder / JOURNAL)
    begins = [
        number
        for number, record in enumerate(records)
        if record["event"] == "started" and str(record["step"]).startswith(ROLLBACK)
    ]
    steps = steps_of(records[begins[-1] :] if begins else records, running=running)
    record, unfinished = incident.rollback(), read_unfinished(incident)
    if broken is not None:
        steps.append(Ran("the journal", State.BROKEN, text=broken.summary))
    elif not begins and (record or unfinished) and not any(r["event"] == ROLLBACK_BEGAN for r in records):
        # Nothing is done without its record: the journal was taken away, or was broken and begun anew.
        steps.append(Ran("the journal", State.BROKEN, text="it holds nothing of this rollback"))
    return Status(
        incident=incident,
        record=record,
        unfinished=unfinished,
        runs=len(begins),
        steps=tuple(steps),
    )


def steps_of(records: Iterable[Mapping[str, Any]], *, running: bool | None) -> list[Ran]:
    """Return the steps of a journal's `records` in the order in which they began.

    A step without an end is *running* as long as its process does, else it was *cut off*.
    """
    without_end = {True: State.RUNNING, False: State.CUT_OFF, None: State.OPEN}[running]
    ran: list[Ran] = []
    for record in records:
        match record["event"]:
            case "started":
                ran.append(Ran(record["step"], without_end))
            case "ended" | "failed" as event:
                open_ones = (s for s in reversed(ran) if s.name == record["step"] and s.seconds is None)
                step = next(open_ones, None)
                if step is None:
                    continue
                step.state, step.seconds = State(event), float(record["seconds"])
                step.text = str(record.get("result") or record.get("error") or "").partition("\n")[0]
            case _:
                pass
    return ran


def _of_target(folder: Path, target: str) -> Incident | None:
    """Return the incident in `folder`, None where it is another target's, or no incident that can be read.

    Raises:
        UsageProblem: it cannot be read, and a rollback of `target` did not succeed in it.
    """
    if (folder / UNFINISHED).exists():
        return incident_of_unfinished(folder / UNFINISHED, target)
    try:
        incident = load_incident(folder)
    except UsageProblem:
        return None
    return incident if incident.target == target else None


def _begun(incident: Incident) -> str:
    try:
        rollback = read_unfinished(incident) or incident.rollback()
    except UsageProblem:
        # Should it be the newest, its status says what is wrong.
        return incident.started.wall
    return rollback.started.wall if rollback is not None else ""
