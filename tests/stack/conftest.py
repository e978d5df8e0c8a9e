"""One staging stack for all tests here. Without one they are skipped, and say so; `./run tests` insists."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from fixtures.engines.engine import ContainerEngine
from fixtures.engines.factory import open_engine
from fixtures.errors import Problem
from fixtures.target import Target, load_target
from rollback_actions.compose import ComposeControl
from rollback_actions.containers import ContainerControl
from staging.operators import Operators
from staging.stack import Stack
from tests.conftest import ROOT
from tests.stack.container_faults import Containers
from tests.stack.mysql_server import SERVERS, MysqlServer, running_server
from tests.stack.verifier import Verifier

WELL_SECONDS = 90.0
# These write to names of their own in one store, or to a store of their own, and stop nothing of the stack:
# those of several stores run side by side.
OF_ONE_STORE = re.compile(r"test_(?P<store>[a-z0-9]+)_(?P<what>content|export|keeper|schemas|view)\.py")
# These have a compose project or collections of their own.
APART = re.compile(r"test_(compose_control|compose_engine|qdrant_stand_in)\.py")


# Minutes each: with `--today` one of these groups is run a day, and the others are counted as deselected.
LONGEST = (
    ("test_rollback_faults.py", "test_lost_window.py", "test_drills.py"),
    ("test_quiet_writers.py", "test_rollback_database.py", "test_checks_step3.py"),
    ("test_checks_step1.py", "test_checks_step2.py", "test_emergency.py"),
    ("test_respond.py", "test_faults.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of the tests that may run side by side."""
    config.addinivalue_line("markers", "alongside: stops nothing, and uses names of its own in one store")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that may run side by side; leave to the next day what is not today's."""
    for item in items:
        if OF_ONE_STORE.fullmatch(item.path.name) or APART.fullmatch(item.path.name):
            item.add_marker(pytest.mark.alongside)
    if config.getoption("today"):
        today = LONGEST[datetime.now(UTC).date().toordinal() % len(LONGEST)]
        left = {name for group in LONGEST if group is not today for name in group}
        config.hook.pytest_deselected(items=[item for item in items if item.path.name in left])
        items[:] = [item for item in items if item.path.name not in left]


class ByStore(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests of one store share a worker: ``--dist loadscope`` with a store in the place of a module.

    Groups of ``--dist loadgroup`` are part of a test's name, which pytest 9.2 does not let xdist 3.8 change.
    """

    def _split_scope(self, nodeid: str) -> str:
        name = OF_ONE_STORE.fullmatch(Path(nodeid.split("::", 1)[0]).name)
        if name is None:
            scope: str = super()._split_scope(nodeid)
            return scope
        # What stops a Milvus has one of its own.
        alone = (name["store"], name["what"]) == ("milvus", "keeper")
        return f"{name['store']} alone" if alone else name["store"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStore | None:
    """Hand the tests out by store."""
    return ByStore(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """The staging stack, running."""
    stack = Stack(ROOT)
    stack.prepare()
    try:
        running = [status.service for status in stack.status()]
        reason = "" if running else "no staging stack is up"
    except Problem as problem:
        reason = problem.summary
    if reason:
        text = f"{reason}; bring one up: ./run up"
        if pytestconfig.getoption("require_stack"):
            pytest.fail(text)
        pytest.skip(text)
    return stack


@pytest.fixture(scope="session")
def target(stack: Stack) -> Target:
    """The staging target."""
    return load_target(stack.root / "targets" / "staging.toml")


@pytest.fixture(scope="session")
def engine(target: Target) -> ContainerEngine:
    """The read side of the container engine."""
    return open_engine(target.engine)


@pytest.fixture(scope="session")
def containers(stack: Stack, engine: ContainerEngine) -> Containers:
    """The containers of the stack."""
    return Containers(stack, engine)


@pytest.fixture(scope="session")
def control(target: Target) -> ContainerControl:
    """The write side of the container engine."""
    return ComposeControl(target.engine)


@pytest.fixture(scope="session")
def operators(target: Target, engine: ContainerEngine) -> Iterator[Operators]:
    """The operators' hands on the stores."""
    with ExitStack() as opened:
        yield Operators(target, engine, opened)


@pytest.fixture(scope="session")
def verifier(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """Runs of checks as an operator makes them, with folders of their own and a baseline of the stack."""
    _wait_until_well(stack)
    verifier = Verifier(stack.root, tmp_path_factory.mktemp("verifier"))
    # A run of the tests that was killed may have left the lock behind.
    captured = verifier.actions("capture", "--take-over")
    assert captured.returncode == 0, captured.stderr
    return verifier


@pytest.fixture(scope="module", params=SERVERS)
def running(
    request: pytest.FixtureRequest,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ContainerControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MysqlServer]:
    """A MySQL or MariaDB for the tests of one module: the stack's, and one of the module's own."""
    folder = tmp_path_factory.mktemp("server")
    with running_server(request.param, stack, target, engine, control, folder) as server:
        yield server


def _wait_until_well(stack: Stack) -> None:
    """Wait for health: what earlier tests paused or restarted is unhealthy until its next check."""
    end = time.monotonic() + WELL_SECONDS
    while unwell := [status for status in stack.status() if not status.well]:
        assert time.monotonic() < end, f"not well within {WELL_SECONDS} s: {unwell}"
        time.sleep(0.5)
