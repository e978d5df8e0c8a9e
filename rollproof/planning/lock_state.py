"""The state of a target's lock, as whoever does not take it sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from docker.errors import NotFound

from rollproof.engines.insides import asking
from rollproof.errors import Problem
from rollproof.planning.advice import TAKE_OVER
from rollproof.profile.profile import Target
from rollproof.system.holder import Holder
from rollproof.system.process import Life

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

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return the content of all records, by number."""
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
        _, holder = read_lock(LockRecords(target.engine.project, target.engine.deadline_seconds))
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
            source=f"volume {place.name(number)}",
            hint=f"when nobody acts on the target, remove it: docker volume rm {place.name(number)}",
        ) from None
