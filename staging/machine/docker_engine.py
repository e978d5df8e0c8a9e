"""Provides a Docker engine: a running one, else one that is installed and started here.

Whoever starts an engine stops it, by its process's identity. The record `.staging/dockerd.pid` outlives a
killed starter: the next command that needs the engine takes it over and stops it. Users of one engine share
a lock, so that the first to finish does not take it away from the others.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rollproof.errors import Problem
from rollproof.system.process import ENDING, handled
from staging.machine.daemon import Daemon, Record, reap, runs
from staging.machine.debian_packages import install_missing
from staging.machine.processes import tail

Report = Callable[[str], None]

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
PING_SECONDS = 5
START_SECONDS = 60
STOP_SECONDS = 60
LOCK_SECONDS = 300
POLL_SECONDS = 0.2
EXEC_SECONDS = 5
EXEC_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class EngineSettings:
    """Locations and commands of an engine.

    Attributes:
        state: The folder of the record, the lock and the log.
        address: The engine's address; None means the environment's, as the docker command reads it.
        command: The command that starts an engine.
        program: The name of the program that `command` becomes.
        pid_file: The file where dockerd itself keeps its process id.
        containerd_pid_file: The file where dockerd keeps the process id of its containerd.
    """

    state: Path
    address: str | None = None
    command: tuple[str, ...] = ("dockerd",)
    program: str = "dockerd"
    pid_file: Path = Path("/var/run/docker.pid")
    containerd_pid_file: Path = Path("/var/run/docker/containerd/containerd.pid")

    @property
    def record(self) -> Path:
        """The file that names the engine started here."""
        return self.state / "dockerd.pid"

    @property
    def lock(self) -> Path:
        """The file on which the engine's users hold a lock."""
        return self.state / "dockerd.lock"

    @property
    def log(self) -> Path:
        """The log of the engine started here."""
        return self.state / "dockerd.log"


def answers(address: str | None = None) -> bool:
    """Return True if an engine answers a ping within its deadline."""
    return _running(address) is not None


def _running(address: str | None) -> int | None:
    """Return the number of running containers; None if no engine answers within its deadline."""
    address = address or os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS
    if address.startswith("unix://") and not _listens(Path(address.removeprefix("unix://"))):
        return None
    import docker  # noqa: PLC0415 - a quarter of a second that only users of an engine should pay
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    environment = {**os.environ, "DOCKER_HOST": address}
    try:
        client = docker.from_env(timeout=PING_SECONDS, environment=environment)
    except (DockerException, RequestException):
        return None
    try:
        return len(client.api.containers())
    except (DockerException, RequestException):
        return None
    finally:
        client.close()


def _listens(path: Path) -> bool:
    """Return True if the socket accepts connections; asking through the SDK would leak a socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def docker_engine(
    report: Report, settings: EngineSettings | None = None, *, keep: bool = False
) -> Iterator[bool]:
    """Provide an engine for the block; yield True if it was started for it.

    An engine that ran before is left alone. An engine started here is stopped at the end, also on Ctrl-C,
    SIGTERM and failure, unless another user is left. With `keep` it stays on until `stop_kept_engine`.
    Containers are the caller's to take down before the block ends.

    Args:
        report: Is told of steps that take time.
        settings: The engine's locations; None means the machine's own, with its traces in `.staging`.
        keep: Leave the engine on at the end.

    Raises:
        Problem: There is no engine, and none can be started; the hint says what to do.
    """
    settings = settings or default_settings()
    settings.state.mkdir(parents=True, exist_ok=True)
    with _signals_unwind(), settings.lock.open("w") as lock:
        try:
            started = _enter(lock, report, settings)
            _claim(settings, keep=keep)
            yield started
        finally:
            with undisturbed():
                _leave(lock, report, settings)


def stop_kept_engine(report: Report, settings: EngineSettings | None = None) -> None:
    """Stop the engine that an earlier command started and left on, if there is one.

    Raises:
        Problem: Another command still uses the engine.
    """
    settings = settings or default_settings()
    settings.state.mkdir(parents=True, exist_ok=True)
    with settings.lock.open("w") as lock:
        if not _take(lock, fcntl.LOCK_EX):
            raise Problem(
                what="stop of the engine",
                expected="nobody to use it",
                observed="another command that does",
                source=str(settings.lock),
                hint="wait for the other command to end, or end it, and try again",
            )
        _stop(report, settings)


def default_settings() -> EngineSettings:
    """Return the settings of the machine's own engine."""
    return EngineSettings(state=Path(__file__).parents[2] / ".staging")


def _take(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _enter(lock: IO[str], report: Report, settings: EngineSettings) -> bool:
    """Take a shared lock on an answering engine, starting one if needed; return True if it was started."""
    give_up = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < give_up:
        if _take(lock, fcntl.LOCK_EX):
            started = _ensure(report, settings)
            fcntl.flock(lock, fcntl.LOCK_SH)
            return started
        if _take(lock, fcntl.LOCK_SH):
            if answers(settings.address):
                return False
            fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(POLL_SECONDS)
    raise Problem(
        what="use of the engine",
        expected="the command that is starting or stopping it to finish",
        observed=f"none in {LOCK_SECONDS} s",
        source=str(settings.lock),
        hint="end the other command and try again",
    )


def _ensure(report: Report, settings: EngineSettings) -> bool:
    """Make an engine answer; return True if it was started here. The caller must be the only user."""
    if answers(settings.address):
        install_missing(report)
        return False
    if settings.address is None and "DOCKER_HOST" in os.environ:
        raise Problem(
            what="Docker engine",
            expected="an answer",
            observed="none",
            source=f"DOCKER_HOST={os.environ['DOCKER_HOST']}",
            hint="start that engine, or unset DOCKER_HOST to use one on this machine",
        )
    present = _present(settings)
    if present is None:
        install_missing(report, engine=True)
        if settings.address is None and answers():
            _adopt_installed(settings)
            return True
        with undisturbed():
            present = _start(report, settings)
            Record(present, keep=False).write(settings.record)
        _wait_until_it_answers(present, settings)
        return True
    _wait_until_it_answers(present, settings)
    return False


def _present(settings: EngineSettings) -> Daemon | None:
    """Return an engine that runs but does not answer yet; remove the leftovers of a dead one."""
    record = Record.read(settings.record)
    if record is not None:
        if record.daemon.lives(settings.program):
            return record.daemon
        settings.record.unlink()
    pid = _pid_in(settings.pid_file)
    if pid is not None and runs(pid, settings.program):
        return Daemon.of(pid)
    # dockerd refuses to start while any process has the id in its own file, be it another program. It waits
    # in vain for any process that has the id in the other one, be it dead and not yet collected.
    for path, program in (
        (settings.pid_file, settings.program),
        (settings.containerd_pid_file, "containerd"),
    ):
        pid = _pid_in(path)
        if pid is not None and not runs(pid, program):
            path.unlink()
    return None


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _adopt_installed(settings: EngineSettings) -> None:
    """Record the engine that its package's installation started as ours, unless systemd manages it."""
    pid = _pid_in(settings.pid_file)
    daemon = None if pid is None else Daemon.of(pid)
    if daemon is not None and not Path("/run/systemd/system").exists():
        Record(daemon, keep=False).write(settings.record)


def _start(report: Report, settings: EngineSettings) -> Daemon:
    """Start an engine in its own session, where a Ctrl-C in this terminal does not reach it."""
    report(f"engine: starting {settings.program}")
    log = os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = os.posix_spawnp(
            settings.command[0],
            settings.command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
    finally:
        os.close(log)
        os.close(nothing)
    # A process shows its command line a moment after it has become the new program.
    give_up = time.monotonic() + EXEC_SECONDS
    while not runs(pid, settings.program) and time.monotonic() < give_up:
        reap(pid)
        time.sleep(EXEC_POLL_SECONDS)
    daemon = Daemon.of(pid)
    if daemon is None:
        raise _died(settings)
    return daemon


def _wait_until_it_answers(daemon: Daemon, settings: EngineSettings) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if answers(settings.address):
            return
        reap(daemon.pid)
        if not daemon.lives(settings.program):
            raise _died(settings)
        time.sleep(POLL_SECONDS)
    raise Problem(
        what="Docker engine",
        expected=f"an answer within {START_SECONDS} s",
        observed=f"process {daemon.pid} that does not answer",
        source=str(settings.log if settings.record.exists() else settings.pid_file),
        hint=f"read its log, end process {daemon.pid} and try again",
    )


def _died(settings: EngineSettings) -> Problem:
    lines = tail(settings.log.read_text()) if settings.log.exists() else "nothing"
    return Problem(
        what="Docker engine",
        expected=f"{settings.program} to keep running",
        observed=f"that it ended; its last lines were\n{lines}",
        source=str(settings.log),
        hint="mend what the last line names, or start an engine yourself and run this again",
    )


def _claim(settings: EngineSettings, *, keep: bool) -> None:
    """Record that an engine started here is to be kept; once kept, it stays kept."""
    record = Record.read(settings.record)
    if record is None:
        return
    if not record.daemon.lives(settings.program):
        settings.record.unlink()
    elif keep and not record.keep:
        Record(record.daemon, keep=True).write(settings.record)


def _leave(lock: IO[str], report: Report, settings: EngineSettings) -> None:
    """Stop the engine if it was started here, is not kept, and has no other user."""
    record = Record.read(settings.record)
    if record is None or record.keep:
        return
    if not _take(lock, fcntl.LOCK_EX):
        report("engine: left on for another command that uses it")
        return
    _stop(report, settings)


def _stop(report: Report, settings: EngineSettings) -> None:
    """Stop the recorded engine and its containerd, unless others' containers run on it.

    The caller must be the only user of this checkout.
    """
    record = Record.read(settings.record)
    if record is None:
        return
    if others := _running(settings.address):
        report(f"engine: left on for {others} running container{'s' * (others > 1)}: docker ps")
        return
    containerd_pid = _pid_in(settings.containerd_pid_file)
    containerd = None if containerd_pid is None else Daemon.of(containerd_pid)
    if record.daemon.lives(settings.program):
        report(f"engine: stopping {settings.program}")
        if not record.daemon.end(settings.program, seconds=STOP_SECONDS):
            report(f"engine: {settings.program} ignored SIGTERM for {STOP_SECONDS} s and was killed")
        if containerd is not None:
            containerd.end("containerd", seconds=STOP_SECONDS)
    settings.record.unlink()


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise as Ctrl-C does, so that all cleanup runs."""
    with handled(signal.default_int_handler):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP during steps that must not be interrupted and have deadlines."""
    held: list[int] = []

    def hold(number: int, _frame: object) -> None:
        held.append(number)

    # Blocking them does not help: another thread takes the signal, and Python raises it in this one.
    with handled(hold, (signal.SIGINT, *ENDING)):
        yield
    if held:
        signal.raise_signal(held[0])
