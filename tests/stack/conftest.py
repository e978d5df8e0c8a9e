"""One staging stack for all tests here. Without a stack they are skipped; `./run tests` requires one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.engines.factory import open_engine
from rollproof.errors import Problem
from rollproof.profile.profile import Target, load_target
from staging.kills.kill import Killer
from staging.kills.wreckage import lengthen_tasks
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.conftest import ROOT
from tests.running.cut import VARIANT
from tests.running.places import PLACE
from tests.stack.container_faults import Containers
from tests.stack.mysql_server import SERVERS, MysqlServer, running_server
from tests.stack.verifier import Verifier

# The tests of a contract begin their parameters with the store.
OF_A_STORE = re.compile(r"tests/stack/(?P<contract>reading|keeping)/test_\w+\.py.*?\[(?P<store>[a-z0-9]+)")
# These take minutes each, and begin first: begun last, they would be waited for alone. A worker takes a
# second file as soon as it has begun its first one, so that short ones stand between them.
LONGEST_FIRST = (
    *("test_kills.py", "test_respond.py", "test_checks_step1.py", "test_store_clients.py"),
    *("test_gate.py", "test_faults.py", "test_checks_phase4.py", "test_checks_phase1.py"),
)
# Files that share a worker, and so a backup of its stack, which takes longer than most tests; or one swarm.
ONE_BACKUP = {
    **dict.fromkeys(
        (
            *("test_kills", "test_respond", "test_doctor", "test_quiet_writers"),
            "test_rollback_faults",
        ),
        "rollbacks",
    ),
    **dict.fromkeys(
        ("test_checks_step1", "test_checks_step1_restore", "test_checks_step2", "test_gate"), "the gate"
    ),
    **dict.fromkeys(("test_swarm", "test_engines"), "the swarm"),
}
# Of these each test may go to another worker.
OF_ITSELF = re.compile(r"test_kill_walk\.py")
HERE = Path(__file__).parent
# Of a test that says none; real servers are slow where much else runs.
SECONDS = 900.0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test of real servers its time, and begin with what takes longest."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Return when the tests of a file have their turn; those with the same one stay in their order."""
    return LONGEST_FIRST.index(item.path.name) if item.path.name in LONGEST_FIRST else len(LONGEST_FIRST)


class ByStore(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests of one store share a worker: ``--dist loadscope`` with a store in the place of a module.

    Groups of ``--dist loadgroup`` are part of a test's name, which pytest 9.2 does not let xdist 3.8 change.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::", 1)[0])
        if OF_ITSELF.fullmatch(file.name):
            return nodeid
        if file.stem in ONE_BACKUP:
            return f"one backup for {ONE_BACKUP[file.stem]}"
        if found := OF_A_STORE.match(nodeid):
            return f"{found['contract']} {found['store']}"
        scope: str = super()._split_scope(nodeid)
        return scope


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStore | None:
    """Hand the tests out by store."""
    return ByStore(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """The staging stack, running; each worker has one of its own, in the slots from the first on."""
    given = getattr(pytestconfig, "workerinput", {PLACE: 0})
    stack = Stack(ROOT, Slot(first_slot() + given[PLACE]))
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
def captured_anew(verifier: Verifier) -> Iterator[None]:
    """At the end there is a new baseline: records that came and went leave other ids and counters behind."""
    yield
    verifier.capture()


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
