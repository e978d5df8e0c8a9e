"""One staging stack for all tests here. Without a stack they are skipped; `./run tests` requires one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import Problem
from rollproof.profile.profile import Target, load_target
from staging.kills.kill import Killer
from staging.kills.wreckage import lengthen_tasks
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.conftest import ROOT
from tests.running.cut import VARIANT
from tests.stack.container_faults import Containers
from tests.stack.mysql_server import SERVERS, MysqlServer, running_server
from tests.stack.verifier import Verifier

# Of a test that says none; real servers are slow where much else runs.
SECONDS = 900.0


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test that names no time of its own `SECONDS`."""
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """The staging stack, running."""
    stack = Stack(ROOT)
    stack.prepare()
    try:
        reason = "" if stack.services.used() else "no staging stack is up"
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
    return load_target(stack.profile)


@pytest.fixture(scope="session")
def engine(target: Target) -> ContainerEngine:
    """The read side of the container engine."""
    return open_engine(target.engine)


@pytest.fixture(scope="session")
def containers(stack: Stack, engine: ContainerEngine) -> Containers:
    """The containers of the stack."""
    return Containers(stack, engine)


@pytest.fixture(scope="session")
def control(target: Target) -> ComposeControl:
    """The write side of the container engine."""
    return ComposeControl(target.engine)


@pytest.fixture(scope="session")
def operators(target: Target, engine: ContainerEngine) -> Iterator[Operators]:
    """The operators' hands on the stores."""
    with ExitStack() as opened:
        yield Operators(target, engine, opened)


@pytest.fixture(scope="session")
def verifier(stack: Stack, operators: Operators, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """Runs of checks as an operator makes them, with folders of their own and a baseline of the stack."""
    # However long the tests take, no record expires meanwhile.
    lengthen_tasks(operators)
    verifier = Verifier(stack, tmp_path_factory.mktemp("verifier"))
    # A run of the tests that was killed may have left the lock behind.
    verifier.capture("--take-over")
    return verifier


@pytest.fixture
def captured_again(verifier: Verifier) -> Iterator[None]:
    """Whoever follows has a new baseline: records that came and went leave other ids and counters behind."""
    yield
    verifier.outdate()


@pytest.fixture(scope="module")
def backup(verifier: Verifier) -> Path:
    """A backup set of the stack as its baseline has it; one for all files between two captures."""
    return verifier.backed_up()


@pytest.fixture(scope="module")
def whole(verifier: Verifier, backup: Path) -> Iterator[None]:
    """When a module is done, every store is as the baseline has it, record by record; else it is put back."""
    assert backup.is_dir()
    yield
    verifier.give_back()


@pytest.fixture
def settled(verifier: Verifier) -> Iterator[None]:
    """When a test is done, no rollback is unfinished: all others would be refused."""
    yield
    verifier.settle()


@pytest.fixture(scope="module")
def killer(verifier: Verifier, backup: Path) -> Killer:
    """Kills rollbacks of the stack, in the folders of `verifier`."""
    assert backup.is_dir()
    return Killer(verifier.stack, verifier.folder)


@pytest.fixture(scope="module", params=[SERVERS[0], pytest.param(SERVERS[1], marks=VARIANT)])
def running(
    request: pytest.FixtureRequest,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MysqlServer]:
    """A MySQL or MariaDB for the tests of one module: the stack's, and one of the module's own."""
    folder = tmp_path_factory.mktemp("server")
    with running_server(request.param, stack, target, engine, control, folder) as server:
        yield server
