"""A stand-in for the volumes of an engine that the lock of a target is kept in: a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from rollback_actions.session import session
from rollback_actions.session.session import LockVolumes, TargetLock
from rollproof.planning import status
from rollproof.system.holder import Holder


@dataclass
class StandInPlace(LockVolumes):
    """Records in memory. `before` is called before each answer, and may be a fault."""

    kept: dict[int, Mapping[str, str]] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None

    def name(self, number: int) -> str:
        """Return a name that says what this is."""
        return f"stand-in-{number}"

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return a copy."""
        self.before()
        return dict(self.kept)

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Keep it, if it is the first of its number."""
        self.before()
        return self.kept.setdefault(number, dict(record))

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget them."""
        for number in numbers:
            self.before()
            self.kept.pop(number, None)


def keep_locks_in_memory(monkeypatch: pytest.MonkeyPatch) -> StandInPlace:
    """Have every lock of this process kept in one stand-in, and return that."""
    stand_in = StandInPlace()
    monkeypatch.setattr(session, "LockVolumes", lambda *_: stand_in)
    monkeypatch.setattr(status, "LockRecords", lambda *_: stand_in)
    return stand_in


@contextmanager
def held(place: LockVolumes, what: str = "rollback") -> Iterator[Holder]:
    """Have this process hold the lock."""
    with TargetLock(place, "sandbox", what) as taken:
        yield taken.holder


def ended(what: str = "rollback") -> Holder:
    """Return a holder of this machine that has certainly ended: its id is ours by now."""
    holder = Holder.doing(what)
    return replace(holder, started=holder.started - 1)


def elsewhere(what: str = "rollback") -> Holder:
    """Return a holder on another machine."""
    holder = replace(Holder.doing(what), user="anna", host="elsewhere")
    return replace(holder, boot="another boot")
