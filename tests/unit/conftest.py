"""What the unit tests share: a target, an incident of it, and command lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

from rollproof.incident.incident import Incident, new_incident
from rollproof.profile.profile import Target, load_target
from tests.unit.clock import MADE, Clock, stopped
from tests.unit.command_line import Ran
from tests.unit.made_incident import MadeIncident
from tests.unit.rolled_back import History, RolledBack, make_history, make_rolled_back
from tests.unit.team_stand_in import Channels, channels
from tests.world.application import StandIn
from tests.world.git import git
from tests.world.lock import StandInPlace, keep_locks_in_memory
from tests.world.programs import keep_programs_in_memory
from tests.world.sandbox import Releases, Sandbox, make_releases, make_sandbox

# Laws are tried with the same few examples in every run, and with others by
# `-p hypothesispytest --hypothesis-profile=many`, or `=night`. How long one takes says nothing where machines
# are busy; what takes more than five minutes hangs.
_EVERY_RUN = settings(
    derandomize=True,
    max_examples=40,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("every-run", _EVERY_RUN)
_MANY = settings(_EVERY_RUN, derandomize=False, max_examples=1000, deadline=timedelta(minutes=5))
settings.register_profile("many", _MANY)
settings.register_profile("night", _MANY, max_examples=5000)
settings.load_profile("every-run")


@pytest.fixture
def stand_in() -> StandIn:
    """An application in memory that answers as a test tells it to."""
    return StandIn()


@pytest.fixture
def server() -> Iterator[Channels]:
    """Channels that hear what people are told."""
    with channels() as there:
        yield there


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test redact what another one read, or name its target."""
    monkeypatch.setattr("rollproof.home._named", [])
    monkeypatch.setattr("rollproof.redaction.secret._known", {})


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Build each command line once, as a process of an operator does: it takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patched:
        built = cache(typer.main.get_command)
        patched.setattr("typer.main.get_command", built)
        patched.setattr("typer.testing._get_command", built)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_disk_is_waited_for() -> Iterator[None]:
    """Have nothing in this process wait for a disk: no power is lost, and who shares it makes it slow."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def programs_are_in_memory() -> Iterator[None]:
    """Start no git, and no compose."""
    with pytest.MonkeyPatch.context() as patched:
        keep_programs_in_memory(patched)
        yield


@pytest.fixture
def stopped_clock() -> Iterator[Clock]:
    """A clock that stands still: for what goes by the age of something, within seconds."""
    with stopped(Clock()) as made:
        yield made


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The clock of everything that is recorded, the same every day."""
    with stopped(Clock(MADE)) as made:
        yield made


@pytest.fixture
def made(profile: Path, clock: Clock) -> MadeIncident:
    """An incident of a profile's target, which a test writes step by step."""
    return MadeIncident(load_target(profile), clock)


@pytest.fixture
def target(profile: Path) -> Target:
    return load_target(profile)


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    """An incident of `target`, or of the sandbox."""
    return new_incident(tmp_path / "incidents", "sandbox")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> StandInPlace:
    return keep_locks_in_memory(monkeypatch)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """The files that every sandbox is a copy of; nobody changes them."""
    return make_releases(tmp_path_factory.mktemp("releases"), git)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> History:
    """The files of a sandbox after a rollback; nobody changes them."""
    return make_history(tmp_path_factory.mktemp("history"), releases)


@pytest.fixture
def rolled(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RolledBack:
    """A copy of that sandbox, with its command line."""
    return make_rolled_back(tmp_path, history, monkeypatch, capsys)


@pytest.fixture
def sandbox(tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    # No engine answers: what needs one has to say so.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return make_sandbox(tmp_path, releases)


@pytest.fixture
def away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """The command line where not even the lock can be asked for."""
    capsys.readouterr()
    return Ran(sandbox, monkeypatch, capsys)


@pytest.fixture
def run(away: Ran, place: StandInPlace) -> Ran:
    assert place.kept == {}
    return away
