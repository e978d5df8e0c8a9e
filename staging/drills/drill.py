"""A drill: its fault, and the finding that the monitor's samples must show in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rollproof.errors import UsageProblem
from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Action
from staging.drills.request_load import Load
from staging.drills.slow_proxy import SlowProxy
from staging.stack.stack import Stack
from staging.target.operators import Operators, undone

SECONDS = 60.0
HINT = "look at the stack: docker ps"
HEALTH, PAGE = "/api/v1/health/check", "/"
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


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill: `band` of `severity` must be met, and the decision tree must say `action` on `names`."""

    name: str
    what: str
    inject: Callable[[Ground], AbstractContextManager[None]]
    band: str
    severity: Severity
    action: Action
    names: tuple[str, ...] = ()


@contextmanager
def _failing(ground: Ground, share: float) -> Iterator[None]:
    ground.load.failing = share
    try:
        yield
    finally:
        ground.load.failing = 0.0


def _most_fail(ground: Ground) -> AbstractContextManager[None]:
    return _failing(ground, 0.6)


def _some_fail(ground: Ground) -> AbstractContextManager[None]:
    return _failing(ground, 0.15)


def _maintenance(ground: Ground, *command: str) -> None:
    ground.stack.compose("exec", "-T", "nginx", *command, seconds=SECONDS, hint=HINT)


@contextmanager
def _health_down(ground: Ground) -> Iterator[None]:
    _maintenance(ground, "touch", MAINTENANCE)
    try:
        yield
    finally:
        _maintenance(ground, "rm", "-f", MAINTENANCE)


@contextmanager
def _store_down(ground: Ground) -> Iterator[None]:
    ground.stack.compose("stop", "qdrant", seconds=SECONDS, hint=HINT)
    try:
        yield
    finally:
        ground.stack.compose(
            "up", "--detach", "--no-build", "--no-deps", "--wait", "qdrant", seconds=SECONDS, hint=HINT
        )


@contextmanager
def _slow(ground: Ground, path: str, seconds: float) -> Iterator[None]:
    ground.proxy.seconds[path] = seconds
    try:
        yield
    finally:
        del ground.proxy.seconds[path]


def _slow_health(ground: Ground) -> AbstractContextManager[None]:
    return _slow(ground, HEALTH, 1.0)


def _slow_page(ground: Ground) -> AbstractContextManager[None]:
    return _slow(ground, PAGE, 3.2)


@contextmanager
def document_row_gone(operators: Operators) -> Iterator[None]:
    """One row of the table documents is gone."""
    row = operators.sql("SELECT * FROM documents ORDER BY file_id LIMIT 1")[0]
    operators.sql("DELETE FROM documents ORDER BY file_id LIMIT 1")
    with undone(lambda: operators.sql("INSERT INTO documents VALUES (%s, %s, %s, %s, %s, %s, %s)", row)):
        yield


def _record_lost(ground: Ground) -> AbstractContextManager[None]:
    return document_row_gone(ground.operators)


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


CRITICAL, OTHER = Severity.CRITICAL, Severity.NON_CRITICAL
DRILLS = (
    Drill("errors-60", "60 % of the requests fail", _most_fail, "errors", CRITICAL, Action.FULL),
    Drill("errors-15", "15 % of the requests fail", _some_fail, "errors", OTHER, Action.INVESTIGATE),
    Drill("health-down", "health answers 503", _health_down, "health", CRITICAL, Action.FULL),
    Drill(
        "store-down",
        "Qdrant is stopped, and health says UP",
        _store_down,
        "stores",
        CRITICAL,
        Action.DATABASE,
        ("qdrant",),
    ),
    Drill(
        "latency",
        "health takes ten times as long, and more",
        _slow_health,
        "latency ratio",
        OTHER,
        Action.INVESTIGATE,
    ),
    Drill("slow-page", "the first page takes 3.2 s", _slow_page, "page", OTHER, Action.INVESTIGATE),
    Drill(
        "record-lost",
        "one row of MySQL is gone",
        _record_lost,
        "records lost",
        CRITICAL,
        Action.DATABASE,
        ("mysql",),
    ),
    Drill(
        "flapping",
        "the application is away for 4 s, again and again",
        _flapping,
        "errors",
        OTHER,
        Action.INVESTIGATE,
    ),
)


def chosen_drills(patterns: Sequence[str]) -> tuple[Drill, ...]:
    """Return the drills that `patterns` name, or all drills without a pattern.

    Raises:
        UsageProblem: a pattern names no drill.
    """
    for pattern in patterns:
        if not any(fnmatchcase(drill.name, pattern) for drill in DRILLS):
            raise UsageProblem(
                what="drill",
                expected=f"a name or pattern of {', '.join(drill.name for drill in DRILLS)}",
                observed=pattern,
                source="the arguments",
                hint="./run drills without a name runs all",
            )
    return tuple(
        drill for drill in DRILLS if not patterns or any(fnmatchcase(drill.name, p) for p in patterns)
    )
