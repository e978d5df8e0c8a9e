"""A drill: its trouble, and the finding that the monitor's samples must show in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from rollproof.incident.severity import Severity
from rollproof.planning.tree import Action
from staging.drills.traffic import TrafficLoad
from staging.stack.stack import Stack
from staging.target.operators import Operators, undone

SECONDS = 60.0
MAINTENANCE = "/tmp/maintenance"  # noqa: S108 - the profile's own


@dataclass(frozen=True, slots=True)
class Ground:
    """The stack, connections and load of a drill."""

    stack: Stack
    operators: Operators
    load: TrafficLoad

    def compose(self, *arguments: str) -> None:
        """Run docker compose on the stack."""
        self.stack.compose(*arguments, seconds=SECONDS)


Inject = Callable[[Ground], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill: `band` of `severity` must be met, and the decision tree must say `action` on `names`."""

    name: str
    what: str
    inject: Inject
    band: str
    severity: Severity
    action: Action
    names: tuple[str, ...] = ()


def _both(do: Callable[[Ground], object], undo: Callable[[Ground], object]) -> Inject:
    @contextmanager
    def inject(ground: Ground) -> Iterator[None]:
        with undone(lambda: undo(ground)):
            do(ground)
            yield

    return inject


def _failing(share: float) -> Inject:
    return _both(lambda g: setattr(g.load, "failing", share), lambda g: setattr(g.load, "failing", 0.0))


_health_down = _both(
    lambda g: g.compose("exec", "-T", "nginx", "touch", MAINTENANCE),
    lambda g: g.compose("exec", "-T", "nginx", "rm", "-f", MAINTENANCE),
)
_store_down = _both(
    lambda g: g.compose("stop", "qdrant"),
    lambda g: g.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "qdrant"),
)


@contextmanager
def _row_lost(ground: Ground) -> Iterator[None]:
    sql = ground.operators.sql
    rows = sql("SELECT * FROM documents ORDER BY file_id LIMIT 1")
    with undone(lambda: sql("INSERT INTO documents VALUES %s", rows)):
        sql("DELETE FROM documents ORDER BY file_id LIMIT 1")
        yield


_CRITICAL, _OTHER = Severity.CRITICAL, Severity.NON_CRITICAL
_FULL, _LOOK, _STORE = Action.FULL, Action.INVESTIGATE, Action.DATABASE
DRILLS = (
    # In this order: the longer time of the band of 10 % would count the failures of the other drill too.
    Drill("errors-15", "15 % of the requests fail", _failing(0.15), "errors", _OTHER, _LOOK),
    Drill("errors-60", "60 % of the requests fail", _failing(0.6), "errors", _CRITICAL, _FULL),
    Drill("health-down", "health answers 503", _health_down, "health", _CRITICAL, _FULL),
    Drill("store-down", "Qdrant is stopped", _store_down, "stores", _CRITICAL, _STORE, ("qdrant",)),
    Drill("record-lost", "a row of MySQL is gone", _row_lost, "records lost", _CRITICAL, _STORE, ("mysql",)),
)
