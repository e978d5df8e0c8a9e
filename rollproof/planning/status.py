"""The lock of a target, and the status of its newest rollback: read alone, nothing is taken or changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from rollproof.errors import Problem, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, RollbackRecord, load_incident
from rollproof.incident.journal import JournalEvent, Step, first_line, id_of, read_journal, steps_in
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.planning.advice import TAKE_OVER
from rollproof.planning.unfinished import Unfinished, read_unfinished
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.record_names import JOURNAL, ROLLBACK, UNFINISHED
from rollproof.system.holder import Holder
from rollproof.system.process import Life
from rollproof.verdict import Verdict

LABEL = "rollproof.lock"
FREE = {"free": "yes"}
"""The record of a lock that nobody holds."""
_ROLL_BACK = ("rollback", "rehears")  # how such a command's `what` begins


@dataclass(frozen=True, slots=True)
class LockState:
    """The readable facts about a lock that is not taken: its holder, nobody, or why it cannot be read."""

    holder: Holder | None = None
    life: Life | None = None
    problem: Problem | None = None

    @property
    def rolls_back(self) -> bool | None:
        """Whether a command that rolls back runs now; None if that is unknown."""
        if self.problem is not None or self.life is Life.UNKNOWN:
            return None
        return self.holder is not None and self.life is Life.RUNS and self.holder.what.startswith(_ROLL_BACK)

    @property
    def ended(self) -> bool:
        """Whether the lock's holder has certainly ended."""
        return self.life is Life.ENDED

    def __str__(self) -> str:
        """Return the state in words."""
        if self.problem is not None:
            return f"cannot be read: {self.problem.summary}"
        if self.life is None:
            return "free"
        then = {Life.ENDED: f"; add {TAKE_OVER}", Life.UNKNOWN: f"; when it has ended, add {TAKE_OVER}"}
        return f"held by {self.holder}, {self.life}{then.get(self.life, '')}"


class LockRecords:
    """The numbered records of a compose project's lock, as volumes of its engine have them."""

    def __init__(self, project: str, deadline_seconds: float) -> None:
        """Ask nothing yet; every later question has `deadline_seconds`."""
        self.project = project
        self.deadline_seconds = deadline_seconds
        self._prefix = f"rollproof-lock-{project}-"
        self._what = f"lock of project {project}"

    def name(self, number: int) -> str:
        """Return the engine's name for record `number`."""
        return f"{self._prefix}{number}"

    def removal(self, number: int) -> str:
        """Return the command that removes record `number`."""
        return f"docker volume rm {self.name(number)}"

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return the content of all records, by number."""
        from docker.errors import NotFound  # noqa: PLC0415 - the engine's SDK only where it is used

        from rollproof.engines.insides import asking  # noqa: PLC0415

        wanted = f"^{re.escape(self._prefix)}[0-9]+$"
        with asking(self._what, self.project, self.deadline_seconds) as api:
            found = {}
            for volume in api.volumes(filters={"name": wanted})["Volumes"] or ():
                name, labels = str(volume["Name"]), volume.get("Labels")
                if not labels:
                    # The list shows a volume a moment before its labels; this question waits for them.
                    try:
                        labels = api.inspect_volume(name).get("Labels")
                    except NotFound:
                        continue  # removed since it was listed
                found[int(name.removeprefix(self._prefix))] = record_of(labels)
        return found


class LockFileRecords(LockRecords):
    """The same in files of this machine, for an engine without volumes: all its users are on this machine."""

    def __init__(self, project: str) -> None:
        """Ask nothing yet."""
        super().__init__(project, 0.0)
        self.folder = Path(gettempdir()) / f"rollproof-lock-{project}"

    def name(self, number: int) -> str:
        """Return the path of record `number`."""
        return str(self.folder / f"{number}.json")

    def removal(self, number: int) -> str:
        """Return the command that removes record `number`."""
        return f"rm {self.name(number)}"

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return the content of all records, by number."""
        found = {}
        for path in self.folder.glob("*.json"):
            with suppress(FileNotFoundError):  # removed since it was listed
                found[int(path.stem)] = json.loads(read_regular(path))
        return found


def record_of(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the record that a volume's `labels` hold."""
    return {
        key.removeprefix(f"{LABEL}."): value
        for key, value in (labels or {}).items()
        if key.startswith(f"{LABEL}.")
    }


def lock_state(target: Target) -> LockState:
    """Return the state of the lock of `target`; changes nothing."""
    try:
        engine = target.engine
        in_volumes = engine.of_kind.has_volumes
        records = LockRecords(engine.project, engine.deadline_seconds) if in_volumes else None
        _, holder = read_lock(records or LockFileRecords(engine.project))
    except Problem as problem:
        return LockState(problem=problem)
    return LockState(holder, holder.life() if holder else None)


def read_lock(place: LockRecords) -> tuple[int, Holder | None]:
    """Return the highest number, 0 if there is none yet, and the holder in its record, or None."""
    records = place.records()
    number = max(records, default=0)
    record = records.get(number, FREE)
    if record == FREE:
        return number, None
    try:
        return number, Holder.of_record(record)
    except (ValueError, KeyError) as error:
        raise Problem(
            what="record of the lock",
            expected="its holder",
            observed=f"labels without it: {type(error).__name__}",
            source=place.name(number),
            hint=f"when nobody acts on the target, remove it: {place.removal(number)}",
        ) from None


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
class StepStatus:
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
    steps: tuple[StepStatus, ...]

    @property
    def verdict(self) -> Verdict:
        """*Passed* or *failed* when the rollback has ended, *broken* until that is known."""
        if self.record is None or any(step.state in _UNKNOWN for step in self.steps):
            return Verdict.BROKEN
        return self.record.verdict

    @property
    def failed(self) -> tuple[StepStatus, ...]:
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
        steps.append(StepStatus("the journal", StepState.BROKEN, text=broken.summary))
    elif not any(_begins(one) or one["event"] == ROLLBACK_BEGAN for one in records):
        # Each action is recorded: the journal was removed, or was broken and started again.
        steps.append(StepStatus("the journal", StepState.BROKEN, text="it holds nothing of this rollback"))
    return Status(incident, incident.rollback(), read_unfinished(incident), len(begins), tuple(steps))


def _begins(record: Mapping[str, Any]) -> bool:
    known = id_of(record) if record["event"] == JournalEvent.STARTED else None
    return known is not None and known.step is Step.ROLLBACK


def steps_of(records: Iterable[Mapping[str, Any]], *, running: bool | None) -> list[StepStatus]:
    """Return the steps of a journal's `records` in the order in which they began.

    A step without an end is *running* while its process runs, else *cut off*; with `running` None, *no end*.
    """
    without_end = {True: StepState.RUNNING, False: StepState.CUT_OFF, None: StepState.OPEN}[running]
    ran: list[StepStatus] = []
    for step in steps_in(records)[0]:
        if step.end is None:
            ran.append(StepStatus(step.name, without_end))
            continue
        ran.append(
            StepStatus(
                step.name, StepState(step.end["event"]), float(step.end["seconds"]), first_line(step.end)
            )
        )
    return ran


def _begun(incident: Incident) -> str:
    unfinished = read_unfinished(incident)
    rollback = unfinished.record if unfinished is not None else incident.rollback()
    return rollback.started.wall if rollback is not None else ""
