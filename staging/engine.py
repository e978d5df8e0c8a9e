"""The Docker engine that a command uses: provided and stopped by engine.sh, which says whose it is."""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rollproof.system.process import ENDING, handled
from staging.processes import run

SCRIPT = Path(__file__).with_name("engine.sh")
# It may have to install an engine.
SECONDS = 900


@contextmanager
def docker_engine(report: Callable[[str], None], *, keep: bool = False) -> Iterator[None]:
    """Provide an engine for the block, and stop it at the end if a command of this checkout started it.

    It stays on for another command that uses it, for running containers, and with `keep`. SIGTERM and SIGHUP
    unwind the block as Ctrl-C does.

    Raises:
        Problem: there is no engine, and none can be started.
    """
    users_file = SCRIPT.parent.parent / ".staging" / "dockerd.users"
    users_file.parent.mkdir(exist_ok=True)
    with handled(signal.default_int_handler), users_file.open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        _call("start", report)
        try:
            yield
        finally:
            with undisturbed():
                if not keep and _is_last(users.fileno()):
                    _call("stop", report)


def install(*packages: str, report: Callable[[str], None]) -> None:
    """Install Debian packages, as root.

    Raises:
        Problem: this is not Debian, or not root, or apt-get failed.
    """
    _call("install", report, *packages)


def _call(action: str, report: Callable[[str], None], *arguments: str) -> None:
    hint = "read its last lines"
    for line in run([str(SCRIPT), action, *arguments], seconds=SECONDS, hint=hint).splitlines():
        if line.startswith("engine: "):
            report(line)


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
