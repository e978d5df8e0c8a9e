"""A backup of mounts is tried in containers that stand in for the application's, and are never started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback_actions.backup import scratch
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Engine
from rollproof.stores.keepers import open_keeper
from rollproof.system.command import Deadline
from tests.stack.mounted_project import DATA, STORE, MountedProject, mounted_project, put, seen
from tests.stack.scratch_project import docker

STATE = "app:/app/state"
SECONDS = 60.0


@pytest.fixture
def project(engine: ContainerEngine, tmp_path: Path) -> Iterator[MountedProject]:
    """A project with a volume and a folder of the host."""
    with mounted_project(engine.containers()["redis"][0].image, tmp_path, ("state", "other")) as made:
        put(made.paths[STATE] / "two.py", b"revision = 'two'", 0o600)
        put(made.paths[DATA] / "upload", b"a picture")
        yield made


def test_a_backup_is_restored_next_to_the_target_and_nothing_stays(
    project: MountedProject, tmp_path: Path
) -> None:
    profile, backup = project.profile(STATE, DATA), tmp_path / "backup"
    backup.mkdir()
    open_keeper(STORE, profile, project.engine, project.control, SECONDS).back_up(backup)
    before = {name: seen(path) for name, path in project.paths.items()}
    theirs = Engine(kind="compose", project=project.name, files=(project.file,))
    file = tmp_path / "scratch.json"
    ours = theirs.model_copy(update={"project": f"{project.name}{scratch.SUFFIX}", "files": (file,)})
    target: Any = SimpleNamespace(
        engine=theirs,
        stores={STORE: profile},
        premigration=SimpleNamespace(scratch=SimpleNamespace(files=())),
    )
    file.write_text(json.dumps(scratch._described(target, (), Deadline(SECONDS))))
    running = ComposeEngine(ours.project, 30)
    volumes = set(docker("volume", "ls", "--quiet").split())
    control = scratch.ScratchControl(ours, theirs)
    try:
        control.create(Deadline(SECONDS))
        (stand_in,) = running.containers()["app"]
        assert stand_in.status == "created"
        # New volumes, at the places of the store's mounts and nowhere else.
        assert {mount.destination for mount in stand_in.mounts} == {"/app/state", "/data"}
        assert not {mount.name for mount in stand_in.mounts} & volumes
        keeper = open_keeper(STORE, profile, running, control, SECONDS)
        assert keeper.restore(backup).records == {STATE: 1, DATA: 1}
        places = {mount.destination: mount.name for mount in stand_in.mounts}
        inside = docker("volume", "inspect", "--format", "{{.Mountpoint}}", places["/data"])
        assert (Path(inside) / "upload").read_bytes() == b"a picture"
    finally:
        control.down()
    assert running.containers() == {}
    assert set(docker("volume", "ls", "--quiet").split()) & {mount.name for mount in stand_in.mounts} == set()
    assert {name: seen(path) for name, path in project.paths.items()} == before
