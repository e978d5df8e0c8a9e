"""The lock of a target: one action on it at a time, from whatever machine. The target's engine keeps it.

The lock is a row of numbered records, of which the highest is true: it names the holder, or says that the
lock is free. Whoever takes the lock, takes it over, gives it back or says more about itself adds the next
number, which only one can do, and then looks whether that is the highest. The highest is never removed, so
that no number comes again: one who looked long ago adds below the highest, and sees that.

A single record that is removed and made anew would not do: one who is slow to remove that of a dead holder
would remove that of the next holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, Self

import typer

from fixtures.errors import ActionFailed, Problem, UsageProblem, describe
from fixtures.target import Target
from rollback_actions.holder import Holder, Life
from rollback_actions.lock_volumes import LockVolumes

TAKE_OVER = "--take-over"
# One that comes second looks again; as often as this only while others come and go without end.
_ATTEMPTS = 20
_FREE = {"free": "yes"}


class Place(Protocol):
    """Where the records of one lock are."""

    def name(self, number: int) -> str:
        """Return what record `number` is called there."""
        ...

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return what all records say, by their numbers."""
        ...

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it is there; return what it says then."""
        ...

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove those records, as far as they are there."""
        ...


class TargetLock:
    """The lock of one target for one process, held while its body runs. A context manager."""

    def __init__(self, place: Place, target: str, what: str, *, take_over: bool = False) -> None:
        """Hold nothing yet. `what` is to be done under the lock; `take_over` is the operator's word."""
        self.holder = Holder.this(what)
        self.taken_from: Holder | None = None
        self.lost = False  # another one has taken it over
        self.left_behind = False  # it could not be given back
        self._place = place
        self._target = target
        self._take_over = take_over
        self._declared = False
        self._tried = False  # a record of this process may be there

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            UsageProblem: somebody holds it, who is named.
            Unverifiable: the engine does not answer.
        """
        try:
            self._take()
        except BaseException:
            # Whatever came between, the lock may name this process already: nobody else could give it back.
            if self._tried:
                self._release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Give the lock back, unless another one has taken it over."""
        self._release()

    def declare(self, incident: str) -> None:
        """Let the lock name the incident too. Up to here, one that was taken over goes back as it was.

        Raises:
            ActionFailed: another one has taken the lock over.
        """
        number = self._require()
        declared = replace(self.holder, incident=incident)
        self._add(number + 1, declared.record())
        self._require()
        self.holder = declared
        self._declared = True

    def require(self) -> None:
        """See that this process holds the lock still.

        Raises:
            ActionFailed: another one has taken it over, or it is gone.
        """
        self._require()

    def _require(self) -> int:
        number, holder = _read(self._place)
        if holder is None or holder.token != self.holder.token:
            self.lost = True
            raise ActionFailed(
                what=f"lock of target {self._target}",
                expected="held by this process still",
                observed=f"held by {holder}" if holder else "nobody's",
                source=self._place.name(number),
                hint="it was taken over, so this one stops; see what the other does: rollback status",
            )
        return number

    def _take(self) -> None:
        for _ in range(_ATTEMPTS):
            number, holder = _read(self._place)
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

    def _refuse(self, number: int, holder: Holder) -> None:
        """Refuse to take the lock from `holder`, unless that is wanted, and it may have ended."""
        life = holder.life()
        if self._take_over and life is not Life.RUNS:
            return
        raise UsageProblem(
            what=f"lock of target {self._target}",
            expected="free",
            observed=f"held by {holder}, {life}",
            source=self._place.name(number),
            hint={
                Life.RUNS: "wait for it (rollback status says how far it is), or end it first",
                Life.ENDED: f"nobody will give it back: add {TAKE_OVER}",
                Life.UNKNOWN: f"ask {holder.user}, or look there; when it has ended, add {TAKE_OVER}",
            }[life],
        )

    def _add(self, number: int, record: Mapping[str, str]) -> bool:
        """Make `record` the highest, with `number`; return whether it is."""
        if self._place.add(number, record) != record:
            return False
        numbers = self._place.records()
        highest = max(numbers, default=0)
        self._place.remove(one for one in numbers if one < highest)
        return highest == number

    def _release(self) -> None:
        # Said, not raised: what was done is done, however the lock fares.
        try:
            number, holder = _read(self._place)
            if holder is None or holder.token != self.holder.token:
                return
            before = None if self._declared else self.taken_from
            self._add(number + 1, before.record() if before else _FREE)
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


@dataclass(frozen=True, slots=True)
class LockState:
    """What can be told of a lock without taking it: its holder, nobody, or why it cannot be read."""

    holder: Holder | None = None
    life: Life | None = None
    problem: Problem | None = None

    def runs(self, incident: str) -> bool | None:
        """Whether an action in `incident` runs now; None when that cannot be known."""
        if self.problem is not None or self.life is Life.UNKNOWN:
            return None
        if self.holder is None or self.life is Life.ENDED:
            return False
        return self.holder.incident == incident if self.holder.incident else None

    @property
    def ended(self) -> bool:
        """Whether the lock is held by one who has certainly ended."""
        return self.life is Life.ENDED

    def __str__(self) -> str:
        """Return it in words."""
        if self.problem is not None:
            return f"cannot be read: {self.problem.summary}"
        if self.life is None:
            return "free"
        what_to_do = {
            Life.RUNS: "",
            Life.ENDED: f"; add {TAKE_OVER}",
            Life.UNKNOWN: f"; when it has ended, add {TAKE_OVER}",
        }
        return f"held by {self.holder}, {self.life}{what_to_do[self.life]}"


def open_lock(target: Target, what: str, *, take_over: bool = False) -> TargetLock:
    """Return the lock of `target`, not taken yet."""
    return TargetLock(_place_of(target), target.name, what, take_over=take_over)


def lock_state(target: Target) -> LockState:
    """Return how the lock of `target` stands; changes nothing."""
    try:
        _, holder = _read(_place_of(target))
    except Problem as problem:
        return LockState(problem=problem)
    return LockState(holder, holder.life() if holder else None)


def _place_of(target: Target) -> Place:
    return LockVolumes(target.engine.project, target.engine.deadline_seconds)


def _read(place: Place) -> tuple[int, Holder | None]:
    """Return the highest number, 0 when there is none yet, and the holder that it names."""
    records = place.records()
    number = max(records, default=0)
    record = records.get(number, _FREE)
    if record == _FREE:
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
