"""The engine's bootstrap, with a small program in dockerd's place: it answers pings, and has no containers.

A file `containers.json` beside it says otherwise.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rollproof.errors import Problem
from staging.machine import docker_engine as module
from staging.machine.daemon import Daemon, Record
from staging.machine.docker_engine import (
    EngineSettings,
    answers,
    docker_engine,
    stop_kept_engine,
    undisturbed,
)

ROOT = Path(__file__).parents[3]
WITHIN_SECONDS = 60
ENGINE = """
    import http.server, pathlib, socketserver, sys

    containers = pathlib.Path(sys.argv[1]).parent / "containers.json"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            body = b'{"ApiVersion": "1.45"}'
            if "/containers/json" in self.path:
                body = containers.read_bytes() if containers.exists() else b"[]"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)
        def address_string(self):
            return "test"
        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    Server(sys.argv[1], Handler).serve_forever()
"""
STARTER = """
    import signal, sys, time
    from pathlib import Path
    from staging.machine.docker_engine import EngineSettings, docker_engine

    # A command that runs in the background inherits a Ctrl-C that is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    folder = Path(sys.argv[1])
    settings = EngineSettings(
        state=folder / "state",
        address=f"unix://{folder}/engine.sock",
        command=(str(folder / "dockerd"), str(folder / "engine.py"), str(folder / "engine.sock")),
        pid_file=folder / "docker.pid",
        containerd_pid_file=folder / "containerd.pid",
    )
    with docker_engine(lambda line: None, settings):
        print("inside", flush=True)
        time.sleep(60)
"""


def ignore(_: str) -> None:
    """Take a progress line."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineSettings]:
    """Settings whose dockerd is the small program; whatever is left of it is ended afterwards."""
    (tmp_path / "dockerd").symlink_to(sys.executable)
    (tmp_path / "engine.py").write_text(textwrap.dedent(ENGINE))
    monkeypatch.setattr(module, "install_missing", lambda *_, **__: None)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    made = EngineSettings(
        state=tmp_path / "state",
        address=f"unix://{tmp_path}/engine.sock",
        command=(str(tmp_path / "dockerd"), str(tmp_path / "engine.py"), str(tmp_path / "engine.sock")),
        pid_file=tmp_path / "docker.pid",
        containerd_pid_file=tmp_path / "containerd.pid",
    )
    yield made
    record = Record.read(made.record) if made.record.exists() else None
    if record is not None:
        record.daemon.end("dockerd", seconds=WITHIN_SECONDS)


def recorded(settings: EngineSettings) -> Record:
    record = Record.read(settings.record)
    assert record is not None
    return record


def starter(tmp_path: Path) -> subprocess.Popen[str]:
    """Run the bootstrap in a process of its own, and return once it is inside the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STARTER), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


def ends(daemon: Daemon) -> bool:
    """Return whether a process ends soon."""
    give_up = time.monotonic() + WITHIN_SECONDS
    while daemon.lives("dockerd"):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def test_an_engine_is_started_and_stopped(settings: EngineSettings) -> None:
    said: list[str] = []
    with docker_engine(said.append, settings) as started:
        assert started
        assert answers(settings.address)
        daemon = recorded(settings).daemon
        # A Ctrl-C goes to the terminal's foreground group: the engine is in a session of its own.
        assert os.getsid(daemon.pid) == daemon.pid
    assert not daemon.lives("dockerd")
    assert not settings.record.exists()
    assert said == ["engine: starting dockerd", "engine: stopping dockerd"]


def test_an_engine_that_was_there_is_left_alone(settings: EngineSettings) -> None:
    with docker_engine(ignore, settings):
        daemon = recorded(settings).daemon
        settings.record.unlink()
    with docker_engine(ignore, settings) as started:
        assert not started
    assert daemon.lives("dockerd")
    daemon.end("dockerd", seconds=WITHIN_SECONDS)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_stops_it_too(settings: EngineSettings, failure: type[BaseException]) -> None:
    daemons: list[Daemon] = []

    def fail() -> None:
        with docker_engine(ignore, settings):
            daemons.append(recorded(settings).daemon)
            raise failure

    with pytest.raises(failure):
        fail()
    assert not daemons[0].lives("dockerd")


@pytest.mark.usefixtures("terminal_can_be_lost")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_too(settings: EngineSettings, tmp_path: Path, number: signal.Signals) -> None:
    process = starter(tmp_path)
    daemon = recorded(settings).daemon
    process.send_signal(number)
    with process:
        assert process.wait(WITHIN_SECONDS) != 0
    assert not daemon.lives("dockerd")
    assert not settings.record.exists()


def test_the_next_command_stops_what_a_killed_one_started(settings: EngineSettings, tmp_path: Path) -> None:
    process = starter(tmp_path)
    process.kill()
    with process:
        process.wait(WITHIN_SECONDS)
    daemon = recorded(settings).daemon
    assert daemon.lives("dockerd")
    with docker_engine(ignore, settings):
        assert recorded(settings).daemon == daemon
    assert ends(daemon)


def test_a_kept_engine_stays_until_it_is_stopped(settings: EngineSettings) -> None:
    with docker_engine(ignore, settings, keep=True):
        pass
    daemon = recorded(settings).daemon
    with docker_engine(ignore, settings):
        pass
    assert daemon.lives("dockerd")
    stop_kept_engine(ignore, settings)
    assert not daemon.lives("dockerd")
    stop_kept_engine(ignore, settings)


def test_containers_of_another_checkout_keep_it_on(settings: EngineSettings, tmp_path: Path) -> None:
    said: list[str] = []
    containers = tmp_path / "containers.json"
    with docker_engine(ignore, settings, keep=True):
        daemon = recorded(settings).daemon
        containers.write_text('[{"Id": "1"}]')
    stop_kept_engine(said.append, settings)
    assert daemon.lives("dockerd")
    assert said == ["engine: left on for 1 running container: docker ps"]
    containers.unlink()
    stop_kept_engine(ignore, settings)
    assert not daemon.lives("dockerd")


def test_the_last_user_stops_it(settings: EngineSettings, tmp_path: Path) -> None:
    said: list[str] = []
    with starter(tmp_path) as other:
        with docker_engine(said.append, settings):
            daemon = recorded(settings).daemon
        assert daemon.lives("dockerd")
        assert said == ["engine: left on for another command that uses it"]
        with pytest.raises(Problem, match="expected nobody to use it"):
            stop_kept_engine(ignore, settings)
        other.terminate()
    assert not daemon.lives("dockerd")


def test_another_process_with_the_recorded_id_is_not_harmed(settings: EngineSettings) -> None:
    with subprocess.Popen([str(settings.command[0]), "-c", "import time; time.sleep(60)"]) as bystander:
        identity = Daemon.of(bystander.pid)
        assert identity is not None
        settings.state.mkdir()
        Record(replace(identity, started=identity.started - 1), keep=True).write(settings.record)
        stop_kept_engine(ignore, settings)
        assert bystander.poll() is None
        assert not settings.record.exists()
        bystander.kill()


def test_a_process_of_another_boot_or_program_is_not_the_daemon() -> None:
    identity = Daemon.of(os.getpid())
    assert identity is not None
    assert not replace(identity, boot="another").lives(Path(sys.executable).name)
    assert not identity.lives("dockerd")


def test_stale_pid_files_of_dockerd_are_removed(settings: EngineSettings) -> None:
    settings.pid_file.write_text(str(os.getpid()))
    settings.containerd_pid_file.write_text(str(os.getpid()))
    with docker_engine(ignore, settings):
        assert not settings.pid_file.exists()
        assert not settings.containerd_pid_file.exists()


def test_the_pid_file_of_a_dead_containerd_that_nobody_has_collected_is_removed(
    settings: EngineSettings,
) -> None:
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
        settings.containerd_pid_file.write_text(str(dead))
        with docker_engine(ignore, settings):
            assert not settings.containerd_pid_file.exists()
    finally:
        os.waitpid(dead, 0)


def test_an_engine_that_dies_shows_its_last_words(settings: EngineSettings) -> None:
    broken = replace(settings, command=(settings.command[0], "-c", "raise SystemExit('no cgroups here')"))
    with pytest.raises(Problem, match="no cgroups here") as caught, docker_engine(ignore, broken):
        pass
    assert caught.value.source == str(settings.log)
    assert not settings.record.exists()


def test_an_engine_named_by_the_environment_is_not_replaced(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    named = replace(settings, address=None)
    with pytest.raises(Problem) as caught, docker_engine(ignore, named):
        pass
    assert str(caught.value) == (
        "Docker engine: expected an answer, observed none (from DOCKER_HOST=unix:///nowhere.sock)\n"
        "HINT: start that engine, or unset DOCKER_HOST to use one on this machine"
    )


def test_a_pid_file_with_other_content_is_named(settings: EngineSettings) -> None:
    settings.state.mkdir()
    settings.record.write_text("1234\n")
    with pytest.raises(Problem, match=r"pid file: expected daemon and keep, observed '1234"):
        stop_kept_engine(ignore, settings)
    settings.record.unlink()


def test_it_works_in_a_thread_which_cannot_take_signals(settings: EngineSettings) -> None:
    outcome: list[bool] = []

    def use() -> None:
        with docker_engine(ignore, settings):
            outcome.append(answers(settings.address))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(WITHIN_SECONDS)
    assert outcome == [True]


def test_what_must_not_be_cut_in_half_is_not_whoever_takes_the_signal() -> None:
    """A display has a thread of its own, which may be the one that takes it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    def take_down() -> None:
        with ThreadPoolExecutor(1) as display, undisturbed():
            display.submit(os.kill, os.getpid(), signal.SIGINT).result()
            time.sleep(0.1)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        take_down()
    assert done == ["whole"]
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
