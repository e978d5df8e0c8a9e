"""A drill: its trouble, and the finding that the monitor's samples must show in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Action
from staging.drills.traffic import Load, SlowProxy
from staging.stack.stack import Stack
from staging.target.operators import Operators, undone

SECONDS = 60.0
HINT = "look at the stack: docker ps"
MAINTENANCE = "/tmp/maintenance"  # noqa: S108 - the profile's own
# Down for less than a beat, so that health never fails twice in a row.
FLAP_DOWN_SECONDS, FLAP_UP_SECONDS = 4.0, 16.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The stack, connections, load and proxy of a drill."""

    stack: Stack
    operators: Operators
    load: Load
    proxy: SlowProxy

    def compose(self, *arguments: str) -> None:
        """Run docker compose on the stack."""
        self.stack.compose(*arguments, seconds=SECONDS, hint=HINT)


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


def _slow(path: str, seconds: float) -> Inject:
    return _both(lambda g: g.proxy.seconds.update({path: seconds}), lambda g: g.proxy.seconds.pop(path, None))


_health_down = _both(
    lambda g: g.compose("exec", "-T", "nginx", "touch", MAINTENANCE),
    lambda g: g.compose("exec", "-T", "nginx", "rm", "-f", MAINTENANCE),
)
_store_down = _both(
    lambda g: g.compose("stop", "qdrant"),
    lambda g: g.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "qdrant"),
)


@contextmanager
def _flapping(ground: Ground) -> Iterator[None]:
    ended = threading.Event()

    def flap() -> None:
        # Down at once: lateness is counted from here.
        while not ended.is_set():
            with _health_down(ground):
                time.sleep(FLAP_DOWN_SECONDS)
            ended.wait(FLAP_UP_SECONDS)

    thread = threading.Thread(target=flap, name="flapping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SECONDS)


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
    Drill("errors-60", "60 % of the requests fail", _failing(0.6), "errors", _CRITICAL, _FULL),
    Drill("errors-15", "15 % of the requests fail", _failing(0.15), "errors", _OTHER, _LOOK),
    Drill("health-down", "health answers 503", _health_down, "health", _CRITICAL, _FULL),
    Drill("store-down", "Qdrant is stopped", _store_down, "stores", _CRITICAL, _STORE, ("qdrant",)),
    Drill("latency", "health takes 1 s", _slow("/api/v1/health/check", 1.0), "latency ratio", _OTHER, _LOOK),
    Drill("slow-page", "the first page takes 3.2 s", _slow("/", 3.2), "page", _OTHER, _LOOK),
    Drill("record-lost", "a row of MySQL is gone", _row_lost, "records lost", _CRITICAL, _STORE, ("mysql",)),
    Drill("flapping", "the application is away for 4 s, again and again", _flapping, "errors", _OTHER, _LOOK),
)
