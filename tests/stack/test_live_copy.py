"""Volumes copied while their containers write: of one moment, and never paused for longer than was said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.engines.compose import ComposeEngine
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.target.profile import Engine, Target
from rollback_actions.containers import live_copy
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.containers.volumes import HELPER_LABEL
from tests.stack.scratch_project import docker

# Numbers in two volumes, which are never more than one apart; files that come, go and are renamed, of which
# there are always ten; and one that stays while the others move.
WRITER = r"""
echo stays > /one/stays; mkdir -p /one/moved; n=0
while :; do
  n=$((n + 1))
  echo $n > /one/next && mv /one/next /one/number
  echo $n > /two/next && mv /two/next /two/number
  echo $n > /one/moved/$n && mv /one/moved/$n /one/moved/file-$n
  rm -f /one/moved/file-$((n - 10))
done
"""
COMPOSE_FILE = """
services:
  writer:
    image: {image}
    entrypoint: [sh, /writer.sh]
    command: []
    user: "0:0"
    init: true
    stop_grace_period: 1s
    healthcheck: {{disable: true}}
    volumes: ["one:/one", "two:/two", "./writer.sh:/writer.sh:ro"]
    tmpfs: [/data]  # in place of a volume that the image may declare
    cpus: 0.3
    mem_limit: 64m
    pids_limit: 40
volumes:
  one: {{}}
  two: {{}}
"""
PAUSE, SECONDS = 10.0, 60.0
SETTLED = r"""
cat /one/number /two/number; cd /one/moved; ls | sed -n 's/^file-//p' | sort -n | tr '\n' ' '
"""


@dataclass(frozen=True, slots=True)
class Writer:
    """A project whose only service writes to two volumes all the time."""

    name: str
    image: str
    engine: ComposeEngine
    control: ComposeControl

    @property
    def container(self) -> str:
        """The name of its container."""
        return f"{self.name}-writer-1"

    def paused(self) -> bool:
        """Return whether it stands still."""
        return docker("inspect", "--format={{.State.Paused}}", self.container) == "true"

    def held(self) -> tuple[int, int, list[int]]:
        """Return both numbers, and those of the files, as the volumes hold them; the writer does not run."""
        mounts = (f"--volume={self.name}_{one}:/{one}" for one in ("one", "two"))
        run = ("run", "--rm", "--network=none", *mounts, "--entrypoint=sh", self.image, "-c", SETTLED)
        first, second, files = docker(*run).splitlines()
        return int(first), int(second), [*map(int, files.split())]

    def helpers(self) -> str:
        """Return what is left of helpers."""
        filters = (f"--filter=label={HELPER_LABEL}={self.name}_{one}" for one in ("one", "two"))
        return "".join(docker("ps", "--all", "--quiet", one) for one in filters)


@pytest.fixture
def writer(target: Target, engine: ContainerEngine, tmp_path: Path) -> Iterator[Writer]:
    image = engine.containers()[target.stores["redis"].services[0]][0].image_id
    with _running(image, tmp_path) as found:
        yield found


@contextmanager
def _running(image: str, folder: Path) -> Iterator[Writer]:
    project = folder / "project"
    project.mkdir()
    (project / "writer.sh").write_text(WRITER)
    file = project / "compose.yaml"
    file.write_text(COMPOSE_FILE.format(image=image))
    name = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    compose = ("compose", "--project-name", name, "--file", str(file))
    try:
        docker(*compose, "up", "--detach", "--no-build")
        profile = Engine(kind="compose", project=name, files=(file,))
        yield Writer(name, image, ComposeEngine(name, 10), ComposeControl(profile))
    finally:
        docker(*compose, "down", "--volumes", "--timeout=1")


def test_a_copy_of_volumes_that_are_written_to_is_of_one_moment(writer: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    seconds = writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS)
    assert seconds is not None
    assert 0 < seconds < PAUSE
    assert not writer.paused()
    volumes = [f"{writer.name}_{one}.tar" for one in ("one", "two")]
    suffixes = ("", ".changes", ".list")
    assert {file.name for file in folder.iterdir()} == {
        f"{one}{more}" for one in volumes for more in suffixes
    }
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert not writer.helpers()

    writer.control.stop(["writer"], deadline=SECONDS)
    later = writer.held()
    for _ in range(2):
        writer.control.load_volumes(["writer"], folder, deadline=SECONDS)
        first, second, files = writer.held()
        assert first - second in {0, 1}
        assert first < later[0]
        # One may be without its new name, or the oldest not gone yet.
        assert files == [*range(files[0], files[-1] + 1)]
        assert len(files) in {9, 10, 11}
        assert 0 <= first - files[-1] <= 1


def test_a_copy_whose_changes_are_lost_is_refused_before_a_volume_is_touched(
    writer: Writer, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    assert writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS)
    writer.control.stop(["writer"], deadline=SECONDS)
    before = writer.held()
    later = folder / f"{writer.name}_one.tar.changes"
    content = later.read_bytes()
    for spoil in (content[:-1], content[:512], b""):
        later.write_bytes(spoil)
        with pytest.raises(ActionFailed, match=r"that do not end like one|tar of volume"):
            writer.control.load_volumes(["writer"], folder, deadline=SECONDS)
    later.rename(later.with_suffix(".7"))
    with pytest.raises(ActionFailed, match=r"tar\.changes, .*observed .*tar\.7"):
        writer.control.load_volumes(["writer"], folder, deadline=SECONDS)
    assert writer.held() == before


def test_a_pause_that_is_too_short_leaves_nothing_behind(writer: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    assert writer.control.copy_volumes(["writer"], folder, pause=0.001, deadline=SECONDS) is None
    assert not writer.paused()
    assert [*folder.iterdir()] == []
    assert not writer.helpers()


def test_a_pause_ends_on_time_and_a_copy_that_comes_later_does_not_count(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    original, states = live_copy._stood_still, list[bool]()

    def slow(*arguments: Any) -> bool:  # noqa: ANN401 - its own
        states.append(writer.paused())
        time.sleep(4)
        states.append(writer.paused())
        return original(*arguments)

    monkeypatch.setattr(live_copy, "_stood_still", slow)
    assert writer.control.copy_volumes(["writer"], folder, pause=3.0, deadline=SECONDS) is None
    assert states == [True, False]
    assert [*folder.iterdir()] == []


def test_a_pause_ends_although_its_process_is_killed(writer: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from fixtures.target.profile import Engine\nfrom rollback_actions.containers import live_copy\n"
        "from rollback_actions.containers.compose import ComposeControl\n"
        "def hang(*_):\n    print('paused', flush=True)\n    time.sleep(60)\n"
        "live_copy._stood_still = hang\n"
        "control = ComposeControl(Engine(kind='compose', project=sys.argv[1]))\n"
        "control.copy_volumes(['writer'], Path(sys.argv[2]), pause=8.0, deadline=60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, writer.name, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "paused\n"
        os.killpg(process.pid, signal.SIGKILL)
    assert writer.paused()
    end = time.monotonic() + SECONDS
    while writer.paused():
        assert time.monotonic() < end
        time.sleep(0.2)
    # The next copy takes what it has left behind out of its way.
    for file in folder.iterdir():
        file.unlink()
    assert writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS)
    assert not writer.helpers()


@pytest.mark.parametrize("meddle", [("unpause",), ("restart", "--time=0")], ids=["unpaused", "restarted"])
def test_a_container_that_ran_in_the_pause_spoils_the_copy(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meddle: Sequence[str]
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    original = live_copy._stood_still

    def meddled(*arguments: Any) -> bool:  # noqa: ANN401 - its own
        if meddle[0] == "restart":
            docker("unpause", writer.container)
        docker(*meddle, writer.container)
        return original(*arguments)

    monkeypatch.setattr(live_copy, "_stood_still", meddled)
    assert writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS) is None
    assert [*folder.iterdir()] == []
    assert not writer.paused()


def test_where_it_would_be_killed_too_nothing_is_paused(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container, what ends a pause ends with it."""
    monkeypatch.setattr(live_copy, "is_in_a_container", lambda: True)
    assert writer.control.copy_volumes(["writer"], tmp_path, pause=PAUSE, deadline=SECONDS) is None
    assert not writer.helpers()


def test_a_copy_that_ctrl_c_ends_leaves_nothing_paused(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(live_copy, "_stood_still", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS)
    assert not writer.paused()
    assert not writer.helpers()


def test_volumes_that_others_use_too_and_a_deadline_are_refused(writer: Writer, tmp_path: Path) -> None:
    folder, user = tmp_path / "copy", f"{writer.name}-user"
    folder.mkdir()
    mount = f"--mount=type=volume,source={writer.name}_two,destination=/elsewhere"
    try:
        options = ("--name", user, mount, "--network=none", "--entrypoint=sleep")
        docker("run", "--detach", *options, writer.image, "infinity")
        with pytest.raises(ActionFailed, match=f"also by {user}"):
            writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=SECONDS)
    finally:
        docker("rm", "--force", "--volumes", user)
    with pytest.raises(Unverifiable):
        writer.control.copy_volumes(["writer"], folder, pause=PAUSE, deadline=0.4)
    assert not writer.paused()
    assert not writer.helpers()
