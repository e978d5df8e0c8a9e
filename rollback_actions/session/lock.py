"""The lock of a target: one action on it at a time, from whatever machine. The target's engine keeps it.

The lock is a series of numbered records. The highest counts: it names the holder, or says that the
lock is free. To take the lock, take it over, give it back or add details about itself, a process adds the
next number. Only one process can do that; it then checks whether its number is the highest. The highest
record is never removed, so no number is used again. A process that read the records long ago adds a number
below the highest, and sees that.

A single record, removed and created again, would not do. A process that is slow to remove a dead holder's
record would remove the next holder's.

The records are empty volumes of the engine, told by their labels. Creating an existing volume changes
nothing, and returns the first creator's labels: of any number of creators, on whatever machines, one is the
first. A volume outlives containers, `docker container prune`, and a restart of the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, Self

import typer
from docker.errors import NotFound

from rollproof.engines.questions import asking
from rollproof.errors import ActionFailed, Problem, UsageProblem, describe
from rollproof.home import typed
from rollproof.planning.advice import TAKE_OVER
from rollproof.planning.lock_state import FREE, LABEL, LockRecords, NumberedRecords, read_lock, words
from rollproof.profile.profile import Target
from rollproof.system.holder import Holder
from rollproof.system.process import Life

# A process that comes second looks again; only an endless series of other holders uses all attempts.
_ATTEMPTS = 20


class LockVolumes(LockRecords):
    """The numbered records of a compose project's lock, written too: see `Place`."""

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it exists; return its content after that."""
        labels = {LABEL: self.project, **{f"{LABEL}.{key}": value for key, value in record.items()}}
        with asking(self._what, self.project, self.deadline_seconds) as api:
            return words(api.create_volume(self.name(number), labels=labels).get("Labels"))

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove the records `numbers`, if they still exist."""
        with asking(self._what, self.project, self.deadline_seconds) as api:
            for number in numbers:
                try:
                    api.remove_volume(self.name(number))
                except NotFound:
                    continue  # another process was quicker

    def clear(self) -> None:
        """Remove every record, whoever holds the lock: for a target that is gone."""
        self.remove(self.records())


class Place(NumberedRecords, Protocol):
    """The place where the records of one lock are."""

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it exists; return its content after that."""
        ...

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove the records `numbers`, if they still exist."""
        ...


class TargetLock:
    """The lock of one target for one process, held while its body runs. A context manager."""

    def __init__(self, place: Place, target: str, what: str, *, take_over: bool = False) -> None:
        """Hold nothing yet. `what` is the action under the lock; `take_over` is the operator's word."""
        self.holder = Holder.doing(what)
        self.taken_from: Holder | None = None
        self.lost = False  # another process has taken it over
        self.left_behind = False  # it could not be given back
        self._place = place
        self._target = target
        self._take_over = take_over
        self._declared = False
        self._tried = False  # a record of this process may be there

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            UsageProblem: somebody holds it; the message names the holder.
            Unverifiable: the engine does not answer.
        """
        try:
            self._take()
        except BaseException:
            # Whatever failed, the lock may name this process already: nobody else could give it back.
            if self._tried:
                self._release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Give the lock back, unless another process has taken it over."""
        self._release()

    def declare(self, incident: str) -> None:
        """Add the incident to the lock's record. Before that, a lock taken over goes back to its old holder.

        Raises:
            ActionFailed: another process has taken the lock over.
        """
        number = self._require()
        declared = replace(self.holder, incident=incident)
        self._add(number + 1, declared.record())
        self._require()
        self.holder = declared
        self._declared = True

    def require(self) -> None:
        """Check that this process still holds the lock.

        Raises:
            ActionFailed: another process has taken it over, or it is gone.
        """
        self._require()

    def _require(self) -> int:
        number, holder = read_lock(self._place)
        if holder is None or holder.token != self.holder.token:
            self.lost = True
            raise ActionFailed(
                what=f"lock of target {self._target}",
                expected="held by this process still",
                observed=f"held by {holder}" if holder else "nobody's",
                source=self._place.name(number),
                hint=f"it was taken over, so this one stops; what the other does: {typed('rollback status')}",
            )
        return number

    def _take(self) -> None:
        for _ in range(_ATTEMPTS):
            number, holder = read_lock(self._place)
            if holder is not None:
                self._refuse(number, holder)
            self.taken_from = holder
            self._tried = True
            if self._add(number + 1, self.holder.record()):
                return
        raise UsageProblem(
            what=f"lock of target {self._target}",
            expected="free, or held by one for more than a moment",
            observed=f"taken by others {_ATTEMPTS} times before this process",
            source=self._place.name(number),
            hint="something takes it again and again: end that first",
        )

    def refuse_held(self) -> None:
        """Refuse if taking the lock now would be refused; takes nothing.

        Raises:
            UsageProblem: somebody holds it, who is named. `Problem`: the engine does not answer.
        """
        number, holder = read_lock(self._place)
        if holder is not None:
            self._refuse(number, holder)

    def _refuse(self, number: int, holder: Holder) -> None:
        """Refuse to take the lock from `holder`, unless a takeover is wanted and it may have ended."""
        life = holder.life()
        if self._take_over and life is not Life.RUNS:
            return
        raise UsageProblem(
            what=f"lock of target {self._target}",
            expected="free",
            observed=f"held by {holder}, {life}",
            source=self._place.name(number),
            hint={
                Life.RUNS: f"wait for it, or end it first; how far it is: {typed('rollback status')}",
                Life.ENDED: f"nobody will give it back: add {TAKE_OVER}",
                Life.UNKNOWN: f"ask {holder.user}, or look there; when it has ended, add {TAKE_OVER}",
            }[life],
        )

    def _add(self, number: int, record: Mapping[str, str]) -> bool:
        """Make `record` the highest, with `number`; tell whether it is."""
        if self._place.add(number, record) != record:
            return False
        numbers = self._place.records()
        highest = max(numbers, default=0)
        self._place.remove(one for one in numbers if one < highest)
        return highest == number

    def _release(self) -> None:
        # Reported, not raised: the action is done, whatever happens to the lock.
        try:
            number, holder = read_lock(self._place)
            if holder is None or holder.token != self.holder.token:
                return
            before = None if self._declared else self.taken_from
            self._add(number + 1, before.record() if before else FREE)
        except Problem as problem:
            self.left_behind = True
            text = describe(
                what=f"lock of target {self._target}",
                expected="given back",
                observed=problem.observed,
                source=problem.source,
                hint=f"it may name this process still: add {TAKE_OVER} to the next command",
            )
            with suppress(OSError):
                typer.echo(text, err=True)


def open_lock(target: Target, what: str, *, take_over: bool = False) -> TargetLock:
    """Return the lock of `target`, not taken yet."""
    return TargetLock(_place_of(target), target.name, what, take_over=take_over)


def _place_of(target: Target) -> Place:
    return LockVolumes(target.engine.project, target.engine.deadline_seconds)
