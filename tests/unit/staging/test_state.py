"""The state folder: secrets that stay, and are nobody else's to read; slots; files and engines of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import Problem
from rollproof.profile.profile import load_target
from staging.engine import docker_engine
from staging.releases.release_repository import create_repository
from staging.stack.shape import Shape
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack_state import SECRETS, State
from tests.conftest import ROOT

# Where the team is told of a change: an address, which the profile treats as a secret.
CHANNEL = "team_channel"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    state = State(tmp_path / ".staging", Slot(), tmp_path)
    state.prepare()
    before = {path.name: path.read_text() for path in state.secrets.iterdir()}
    assert sorted(before) == sorted([*SECRETS, CHANNEL])
    assert len(set(before.values())) == len(before)
    state.prepare()
    assert {path.name: path.read_text() for path in state.secrets.iterdir()} == before


def test_slots_share_no_name_no_port_and_no_folder() -> None:
    slots = [Slot(number) for number in range(1, SLOTS + 1)]
    for names in (
        {slot.project for slot in slots},
        {slot.url_port for slot in slots},
        {slot.channel_port for slot in slots},
        {slot.folder(ROOT) for slot in slots},
        {slot.profile(ROOT) for slot in slots},
    ):
        assert len(names) == SLOTS
    ports = [digits for slot in slots for digits in (slot.ports, slot.scratch_ports)]
    assert len(set(ports)) == 2 * SLOTS
    # The kernel gives 32768 and above to outgoing connections.
    assert all(int(f"{digits}999") < 32768 for digits in ports)


@pytest.mark.parametrize("shape", Shape)
def test_each_shape_has_a_profile_that_loads_and_two_releases(shape: Shape, tmp_path: Path) -> None:
    slot = Slot(2)
    State(tmp_path, Slot(), ROOT).prepare()
    profile = tmp_path / shape.profile.name
    profile.write_text(slot.profile_text(ROOT, shape).replace(str(slot.folder(ROOT)), str(tmp_path)))
    releases = create_repository(tmp_path / "application", shape)
    target = load_target(profile)
    assert target.application.repository == tmp_path / "application"
    assert {*shape.application, *shape.stores} <= {*target.services}
    assert set(shape.application_files(tmp_path / "application")) <= set(target.engine.files)
    assert releases.release1 != releases.release2


def test_files_of_another_origin_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Problem, match="files of another origin"):
        create_repository(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_engine_named_by_the_environment_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(Problem) as caught, docker_engine(lambda _: None):
        pass
    assert "Docker engine: expected an answer, observed none (from DOCKER_HOST=unix:///nowhere.sock)" in str(
        caught.value
    )
