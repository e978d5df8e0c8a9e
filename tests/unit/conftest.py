"""What the unit tests share: a target, an incident of it, and command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.incident import Incident, new_incident
from fixtures.personal import personal_data
from fixtures.secret import forget_secrets
from fixtures.target import Target, load_target
from tests.unit.command_line import Ran
from tests.unit.lock_stand_in import StandInPlace, keep_locks_in_memory
from tests.unit.sandbox import Sandbox, make_sandbox


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    """Let no test redact what another one read."""
    forget_secrets()
    personal_data.set(None)


@pytest.fixture
def target(profile: Path) -> Target:
    return load_target(profile)


@pytest.fixture
def incident(target: Target) -> Incident:
    return new_incident(target.folders.incidents, target.name)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> StandInPlace:
    return keep_locks_in_memory(monkeypatch)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    # No engine answers: what needs one has to say so.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return make_sandbox(tmp_path)


@pytest.fixture
def away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """The command line where not even the lock can be asked for."""
    capsys.readouterr()
    return Ran(sandbox, monkeypatch, capsys)


@pytest.fixture
def run(away: Ran, place: StandInPlace) -> Ran:
    assert place.kept == {}
    return away
