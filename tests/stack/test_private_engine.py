"""The engine's bootstrap with a real dockerd, which shares nothing with the machine's own.

Its files are in the test's folder and its network is a namespace of its own: a dockerd that is started with
`--bridge=none` deletes the bridge docker0 of the namespace that it is in, which is the other engine's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import UsageProblem
from rollback_actions.lock import TargetLock
from rollback_actions.lock_volumes import LockVolumes
from staging.daemon import Daemon, Record
from staging.docker_engine import EngineSettings, answers, docker_engine

WITHIN_SECONDS = 20


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[EngineSettings]:
    """Settings of a dockerd with folders and a network of its own."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        pytest.skip("a dockerd of its own needs root, dockerd and unshare")
    address = f"unix://{tmp_path}/docker.sock"
    yield EngineSettings(
        state=tmp_path / "state",
        address=address,
        command=(
            "unshare",
            "--net",
            "dockerd",
            f"--host={address}",
            f"--data-root={tmp_path}/data",
            f"--exec-root={tmp_path}/run",
            f"--pidfile={tmp_path}/docker.pid",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ),
        pid_file=tmp_path / "docker.pid",
        containerd_pid_file=tmp_path / "run" / "containerd" / "containerd.pid",
    )
    data = str(tmp_path / "data")
    # dockerd mounts its folder onto itself; one that is killed leaves that, and nobody can remove the folder.
    # Of the same file system on itself `is_mount` knows nothing.
    while data in [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]:
        subprocess.run(["umount", data], check=True, timeout=WITHIN_SECONDS)


def containerd(settings: EngineSettings) -> Daemon:
    found = Daemon.of(int(settings.containerd_pid_file.read_text()))
    assert found is not None
    return found


def gone(daemon: Daemon, program: str) -> bool:
    give_up = time.monotonic() + WITHIN_SECONDS
    while daemon.lives(program) and time.monotonic() < give_up:
        time.sleep(0.05)
    return not daemon.lives(program)


def test_it_starts_and_stops_with_its_containerd_more_than_once(settings: EngineSettings) -> None:
    for _ in range(2):
        with docker_engine(lambda _: None, settings):
            assert answers(settings.address)
            inner = containerd(settings)
        assert not inner.lives("containerd")
        assert not settings.pid_file.exists()
        assert not settings.record.exists()


def test_it_starts_again_after_kill_9(settings: EngineSettings) -> None:
    with docker_engine(lambda _: None, settings, keep=True):
        record = Record.read(settings.record)
        assert record is not None
        inner = containerd(settings)
    os.kill(record.daemon.pid, signal.SIGKILL)
    os.waitpid(record.daemon.pid, 0)
    assert gone(inner, "containerd")
    # The worst that can be left behind: the id in the file belongs to another living process by now.
    settings.pid_file.write_text(str(os.getpid()))
    with docker_engine(lambda _: None, settings):
        assert answers(settings.address)
    assert not settings.record.exists()


def test_it_leaves_the_machine_s_network_alone(settings: EngineSettings) -> None:
    links = Path("/sys/class/net")
    bridges = {link.name for link in links.iterdir() if (link / "bridge").exists()}
    with docker_engine(lambda _: None, settings):
        pass
    assert bridges <= {link.name for link in links.iterdir()}


def test_a_lock_outlives_a_restart_of_the_engine(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", str(settings.address))
    place = LockVolumes("restarted", WITHIN_SECONDS)
    lock = TargetLock(place, "t", "backup")
    with docker_engine(lambda _: None, settings):
        lock.__enter__()
        lock.declare("one")
    with docker_engine(lambda _: None, settings):
        lock.require()
        with pytest.raises(UsageProblem, match="which still runs"):
            TargetLock(place, "t", "backup").__enter__()
        lock.__exit__()
        assert list(place.records().values()) == [{"free": "yes"}]
