"""The lock of a target: one action on it at a time, from whatever machine. The target's engine keeps it.

The lock is a series of numbered records. The highest counts: it names the holder, or says that the
lock is free. To take the lock, take it over or give it back, a process adds the next number. Only one process
can do that; it then checks whether its number is the highest. The highest record is never removed, so no
number is used again. A process that read the records long ago adds a number below the highest, and sees that.

A single record, removed and created again, would not do. A process that is slow to remove a dead holder's
record would remove the next holder's.

Each record is an empty volume of the engine; its content is in the volume's labels. Creating an existing
volume changes nothing, and returns the first creator's labels: of any number of creators, on whatever
machines, one is the first. A volume outlives containers, `docker container prune`, and a restart of the
engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Self

import typer
from docker.errors import NotFound

from rollproof.engines.questions import asking
from rollproof.errors import ActionFailed, Problem, UsageProblem
from rollproof.home import typed
from rollproof.planning.advice import TAKE_OVER
from rollproof.planning.lock_state import FREE, LABEL, LockRecords, read_lock, record_of
from rollproof.profile.profile import Target
from rollproof.system.holder import Holder
from rollproof.system.process import Life


class LockVolumes(LockRecords):
    """The numbered records of a compose project's lock, read and written."""

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it exists; return what it holds then, which is the first writer's."""
        labels = {LABEL: self.project, **{f"{LABEL}.{key}": value for key, value in record.items()}}
        with asking(self._what, self.project, self.deadline_seconds) as api:
            return record_of(api.create_volume(self.name(number), labels=labels).get("Labels"))

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove the records `numbers`, if they still exist."""
        with asking(self._what, self.project, self.deadline_seconds) as api:
            for number in numbers:
                with suppress(NotFound):  # another process was quicker
                    api.remove_volume(self.name(number))


class TargetLock:
    """The lock of one target for one process, held while its body runs. A context manager."""

    def __init__(self, records: LockVolumes, target: str, what: str, *, take_over: bool = False) -> None:
        """Hold nothing yet. `what` is the action under the lock.

        With `take_over` the operator says that the holder has ended.
        """
        self.holder = Holder.doing(what)
        self.taken_from: Holder | None = None
        self.lost = False  # another process has taken it over
        self._records = records
        self._target = target
        self._take_over = take_over

    def __enter__(self) -> Self:
        """Take the lock."""
        while True:
            number, self.taken_from = self._free_or_refuse()
            try:
                if self._add(number + 1, self.holder.record()):
                    return self
            except BaseException:
                # The lock may name this process already: nobody else could give it back.
                self._release()
                raise

    def __exit__(self, *exception: object) -> None:
        """Give the lock back, unless another process has taken it over."""
        self._release()

    def require(self) -> None:
        """Check that this process still holds the lock."""
        number, holder = read_lock(self._records)
        if holder is None or holder.token != self.holder.token:
            self.lost = True
            raise ActionFailed(
                what=f"lock of target {self._target}",
                expected="held by this process still",
                observed=f"held by {holder}" if holder else "free",
                source=self._records.name(number),
                hint=f"it was taken over, so this one stops; what the other does: {typed('rollback status')}",
            )

    def refuse_held(self) -> None:
        """Refuse if taking the lock now would be refused; takes nothing.

        Raises:
            UsageProblem: somebody holds it, who is named. `Problem`: the engine does not answer.
        """
        self._free_or_refuse()

    def _free_or_refuse(self) -> tuple[int, Holder | None]:
        """Return the highest number, and the holder to take the lock over from, None if it is free.

        Raises:
            UsageProblem: another holder has it.
        """
        number, holder = read_lock(self._records)
        if holder is None:
            return number, None
        life = holder.life()
        if self._take_over and life is not Life.RUNS:
            return number, holder
        raise UsageProblem(
            what=f"lock of target {self._target}",
            expected="free",
            observed=f"held by {holder}, {life}",
            source=self._records.name(number),
            hint={
                Life.RUNS: f"wait for it, or end it first; how far it is: {typed('rollback status')}",
                Life.ENDED: f"nobody will give it back: add {TAKE_OVER}",
                Life.UNKNOWN: f"ask {holder.user}, or look on its machine; when it is over, add {TAKE_OVER}",
            }[life],
        )

    def _add(self, number: int, record: Mapping[str, str]) -> bool:
        """Make `record` the highest, with `number`; return whether it is."""
        if self._records.add(number, record) != record:
            return False
        numbers = self._records.records()
        highest = max(numbers, default=0)
        self._records.remove(one for one in numbers if one < highest)
        return highest == number

    def _release(self) -> None:
        # Reported, not raised: the action is done, whatever happens to the lock.
        try:
            number, holder = read_lock(self._records)
            if holder is not None and holder.token == self.holder.token:
                self._add(number + 1, FREE)
        except Problem as problem:
            with suppress(OSError):
                typer.echo(
                    f"the lock was not given back ({problem.summary}): add {TAKE_OVER} to the next command",
                    err=True,
                )


def open_lock(target: Target, what: str, *, take_over: bool = False) -> TargetLock:
    """Return the lock of `target`, not taken yet."""
    records = LockVolumes(target.engine.project, target.engine.deadline_seconds)
    return TargetLock(records, target.name, what, take_over=take_over)
