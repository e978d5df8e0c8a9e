"""The engine's bootstrap with a real dockerd, which shares nothing with the machine's own.

Its files are in the test's folder, and its network is a separate namespace. A dockerd started with
`--bridge=none` deletes the bridge docker0 of its namespace, which would be the other engine's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_actions.session.lock import LockVolumes, TargetLock
from rollproof.errors import UsageProblem
from staging.machine.daemon import Daemon, Record
from staging.machine.docker_engine import EngineSettings, answers, docker_engine
from tests.stack.scratch_project import docker

WITHIN_SECONDS = 120


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has 104 characters at most."""
    with tempfile.TemporaryDirectory(prefix="dockerd-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def settings(short: Path) -> Iterator[EngineSettings]:
    """Settings of a dockerd with folders and a network of its own."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        pytest.skip("a dockerd of its own needs root, dockerd and unshare")
    address = f"unix://{short}/docker.sock"
    yield EngineSettings(
        state=short / "state",
        address=address,
        command=(
            "unshare",
            "--net",
            "dockerd",
            f"--host={address}",
            f"--data-root={short}/data",
            f"--exec-root={short}/run",
            f"--pidfile={short}/docker.pid",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ),
        pid_file=short / "docker.pid",
        containerd_pid_file=short / "run" / "containerd" / "containerd.pid",
    )
    data = str(short / "data")
    # dockerd mounts its folder onto itself; one that is killed leaves that, and nobody can remove the folder.
    # Of the same file system on itself `is_mount` knows nothing.
    while data in [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]:
        subprocess.run(["umount", "--lazy", data], check=True, timeout=WITHIN_SECONDS)


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
    # The worst that can be left behind: the ids in the files belong to another living process by now.
    settings.pid_file.write_text(str(os.getpid()))
    settings.containerd_pid_file.write_text(str(os.getpid()))
    with docker_engine(lambda _: None, settings):
        assert answers(settings.address)
    assert not settings.record.exists()


def test_it_leaves_the_machine_s_network_alone(settings: EngineSettings) -> None:
    links, name = Path("/sys/class/net"), f"rollproof-test-{uuid.uuid4().hex[:8]}"
    # A network of its own: those of other tests come and go.
    bridges = {"docker0", f"br-{docker('network', 'create', name)[:12]}"}
    try:
        assert bridges <= {link.name for link in links.iterdir()}
        with docker_engine(lambda _: None, settings):
            pass
        assert bridges <= {link.name for link in links.iterdir()}
    finally:
        docker("network", "rm", name)


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
