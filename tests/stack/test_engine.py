"""engine.sh with a real dockerd, in namespaces of its own: it shares nothing with the machine's engine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.system.process import Process
from staging.engine import SCRIPT
from tests.conftest import ROOT

SECONDS = 120
# /var/run is a link to /run.
NAMESPACES = 'mount -t tmpfs tmpfs /run && mount --bind "$1" /var/lib/docker && echo made && exec sleep 3600'
USER = """
import signal, sys, time
from pathlib import Path
from staging.engine import docker_engine

# A command that runs in the background inherits a Ctrl-C that is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with docker_engine(print, script=Path(sys.argv[1])):
    print("inside", flush=True)
    time.sleep(3600)
"""


@dataclass(frozen=True)
class Machine:
    """A checkout with engine.sh alone, on a machine without an engine: the namespaces of process `pid`."""

    checkout: Path
    pid: int

    @property
    def script(self) -> Path:
        return self.checkout / "staging" / "engine.sh"

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", f"--wd={ROOT}", *command]

    def call(self, *command: str) -> str:
        done = subprocess.run(
            self.inside(*command), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dockerd(self) -> Process | None:
        """The process that engine.sh started, if it still runs."""
        record = self.checkout / ".staging" / "dockerd.pid"
        if not record.exists():
            return None
        pid, started = (int(word) for word in record.read_text().split())
        found = Process.of(pid)
        return found if found is not None and found.started == started else None

    @contextmanager
    def user(self) -> Iterator[subprocess.Popen[str]]:
        """A command that uses the engine, in a process of its own."""
        command = self.inside(sys.executable, "-c", USER, str(self.script))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "inside\n" in iter(process.stdout.readline, "")
                yield process
            finally:
                process.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        pytest.skip("a dockerd of its own needs root, dockerd and unshare")
    checkout, data = tmp_path / "checkout", tmp_path / "data"
    (checkout / "staging").mkdir(parents=True)
    data.mkdir()
    shutil.copy(SCRIPT, checkout / "staging")
    command = ["unshare", "--mount", "--net", "sh", "-c", NAMESPACES, "sh", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        machine = Machine(checkout, holder.pid)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "made\n"
            yield machine
        finally:
            if left := machine.dockerd():
                os.kill(left.pid, signal.SIGKILL)
            holder.kill()


def ends(process: Process) -> bool:
    give_up = time.monotonic() + SECONDS
    while Process.of(process.pid) == process and time.monotonic() < give_up:
        time.sleep(0.05)
    return Process.of(process.pid) != process


def started(machine: Machine) -> Process:
    found = machine.dockerd()
    assert found is not None
    return found


def test_an_engine_is_started_once_and_stopped_by_who_started_it(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(machine.checkout, other)
    assert machine.call(str(machine.script), "start") == "engine: starting dockerd\n"
    dockerd = started(machine)
    # A Ctrl-C goes to the terminal's foreground group: the engine is in a session of its own.
    assert os.getsid(dockerd.pid) == dockerd.pid
    assert machine.call(str(machine.script), "start") == ""
    # Another checkout uses it, and leaves it alone.
    for action in ("start", "stop"):
        assert machine.call(str(other / "staging" / "engine.sh"), action) == ""
    assert started(machine) == dockerd
    assert machine.call(str(machine.script), "stop") == "engine: stopping dockerd\n"
    assert ends(dockerd)
    assert machine.call(str(machine.script), "stop") == ""


def test_the_last_user_stops_it_also_after_a_kill(machine: Machine) -> None:
    with machine.user() as killed:
        dockerd = started(machine)
        killed.kill()
    assert started(machine) == dockerd
    with machine.user() as first, machine.user() as last:
        first.terminate()
        first.wait(SECONDS)
        assert started(machine) == dockerd
        last.terminate()
        last.wait(SECONDS)
    assert ends(dockerd)
