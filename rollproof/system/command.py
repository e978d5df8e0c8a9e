"""The one place of the product that starts programs: with a deadline, hidden secrets, limited memory.

`run_command` is for programs that act on the target: observers see them, and it raises on failure.
`run_program` is below it, for callers that judge the exit code themselves.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import SecretStr

from rollproof.errors import ActionFailed, Meaning, Unverifiable, plain, reason_of
from rollproof.reading import open_regular, read_regular
from rollproof.system.files import sync_folder

DEFAULT = "default"
"""The context of DOCKER_HOST, else of this host's own engine."""


def context_name() -> str:
    """Return the context's name, as `docker` finds it: by DOCKER_HOST, DOCKER_CONTEXT, its own settings."""
    if os.environ.get("DOCKER_HOST"):
        return DEFAULT
    return os.environ.get("DOCKER_CONTEXT") or _used() or DEFAULT


def _used() -> str | None:
    """Return the context in docker's own settings, or None; `docker` ignores settings that it cannot read."""
    try:
        folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
        settings = json.loads(read_regular(Path(folder) / "config.json"))
    except (OSError, ValueError, RuntimeError):
        return None
    name = settings.get("currentContext") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else None


ERROR_TAIL_BYTES = 64 * 1024
ERROR_LINES = 12
SILENT = "no word on its standard error"
WITHHELD = "words that may quote a secret"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Time for a program to clean up after the deadline, before it is killed.
GRACE_SECONDS = 2.0
_LONGEST_SECONDS = 7 * 86400.0  # the milliseconds of a poll are an int of C
# Outputs of this process.
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2

# A git hook, for example, sets these for its programs: git would then work on the hook's repository.
ANOTHER_REPOSITORY = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "COMMON_DIR", "WORK_TREE", "INDEX_FILE", "PREFIX", "NAMESPACE"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "GRAFT_FILE", "SHALLOW_FILE"),
    )
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `words` are what a program is started with; its text is for people to paste into a shell."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        """Return the words, quoted for a shell."""
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which several steps must have ended."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A program's run: `code` is None before its end, and if it did not end by itself.

    `output` are the last lines of its standard error.
    """

    command: str
    code: int | None = None
    output: str = ""
    seconds: float = 0.0


_observers: list[Callable[[Ran], None]] = []


@contextmanager
def observed(observer: Callable[[Ran], None]) -> Iterator[None]:
    """Call `observer` before and after every program's run, in the thread that runs it."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def _report(ran: Ran) -> None:
    for observer in _observers:
        observer(ran)


def run_program(
    command: Sequence[str],
    deadline: Deadline,
    *,
    output: IO[bytes] | int | None,
    errors: IO[bytes] | int | None,
    environment: Mapping[str, str],
    stdin: IO[bytes] | None = None,
    folder: Path | None = None,
    first: signal.Signals = signal.SIGTERM,
    grace: float = GRACE_SECONDS,
) -> int | None:
    """Run `command` to its end; return its exit code, or None when the deadline has ended it.

    `environment` is its whole environment; its standard input is empty unless `stdin` is given. Output
    without a destination is discarded. It is its own process group. The whole group is ended at the deadline,
    and on any exception in this thread, such as Ctrl-C. It gets the signal `first`, and SIGKILL after `grace`
    seconds or at another Ctrl-C. Whoever kills this process leaves the program to come to its end.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.DEVNULL if output is None else output,
        stderr=subprocess.DEVNULL if errors is None else errors,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    code = None
    try:
        code = _code_in_time(process, deadline)
        return code
    finally:
        if code is None:
            end_group(process, first, grace)


def _code_in_time(process: subprocess.Popen[bytes], deadline: Deadline) -> int | None:
    """Return the exit code of `process`, or None when the deadline has passed.

    `Popen.wait` with a timeout looks again and again, up to 50 ms apart: longer than most calls of git take.
    """
    descriptor, ended = os.pidfd_open(process.pid), select.poll()
    try:
        ended.register(descriptor, select.POLLIN)
        ended.poll(1000 * min(deadline.remaining, _LONGEST_SECONDS))
    finally:
        os.close(descriptor)
    return process.poll()


def run_command(
    command: Sequence[str],
    *,
    what: str,
    deadline: Deadline,
    environment: Mapping[str, SecretStr] | None = None,
    stdin: Path | None = None,
    stdout: Path | None = None,
    private: bool = False,
) -> str:
    """Run `command`, which must end with exit code 0, and return its output ("" if `stdout` takes it).

    `what` names it in errors: the command line itself is not shown. The values of `environment` are added to
    the environment and removed from every error text. The file `stdout` (mode 600) appears only when it is
    complete. The program and its children are ended at the deadline, and on any exception in this thread.

    A `private` program reads files that may hold secrets: neither its output nor its words are shown.
    """
    secrets = environment or {}
    line, started = shlex.join(command), time.monotonic()
    _report(Ran(line))
    whole = inherited({name: value.get_secret_value() for name, value in secrets.items()})
    with (
        open_regular(stdin) if stdin else nullcontext() as source,
        _output(stdout) as output,
        tempfile.TemporaryFile() as errors,
    ):
        try:
            code = run_program(
                command, deadline, output=output, errors=errors, stdin=source, environment=whole
            )
        except OSError as error:
            reason = f"{reason_of(error)}: {command[0]}"
            _report(Ran(line, None, reason, time.monotonic() - started))
            raise Unverifiable(
                what=what,
                expected="a program that starts",
                observed=reason,
                source="this machine",
                hint="install it, or name the folder that it is in in PATH",
            ) from None
        words = _words(errors, secrets)
        if private and words != SILENT:
            words = WITHHELD
        _report(Ran(line, code, words, time.monotonic() - started))
        if code is None:
            raise Unverifiable(
                what=what,
                expected=f"an end within {deadline.seconds:g} s",
                observed=f"still running; {words}",
                source=command[0],
                hint="what it did up to then is unknown: look before trying again with a longer deadline",
                means=Meaning.TIMEOUT,
            )
        if code != 0:
            raise _failure(what, code, words, command)
        if stdout:
            return ""
        output.seek(0)
        return output.read().decode(errors="replace")


def inherited(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, without variables of another repository, extended by `more`."""
    # The engine of the API's client, even if somebody chooses another context meanwhile.
    ours = {name: value for name, value in os.environ.items() if name not in ANOTHER_REPOSITORY}
    return {**ours, "DOCKER_CONTEXT": context_name(), **(more or {})}


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        with tempfile.TemporaryFile() as file:
            yield file
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def end_group(
    process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM, grace: float = GRACE_SECONDS
) -> None:
    """End a program and all its group: by `first`, and by SIGKILL after `grace` seconds."""
    try:
        _signal(process, first, grace)
    finally:
        _signal(process, signal.SIGKILL, GRACE_SECONDS)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals, seconds: float) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def last_lines(output: IO[bytes], most: int) -> str:
    """Return the content of `output`; beyond `most` bytes, only the last complete lines."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - most))
    text = output.read().decode(errors="replace")
    # The first line may begin in the middle of a secret.
    return text.partition("\n")[2] if size > most else text


def _words(errors: IO[bytes], secrets: Mapping[str, SecretStr]) -> str:
    """Return the last lines of the program's errors, without secrets."""
    text = last_lines(errors, ERROR_TAIL_BYTES)
    for secret in sorted((s.get_secret_value() for s in secrets.values()), key=len, reverse=True):
        if secret:
            text = text.replace(secret, "[redacted]")
    lines = [line.strip() for line in plain(_COLOURS.sub("", text)).splitlines() if line.strip()]
    return " | ".join(lines[-ERROR_LINES:]) or SILENT


def _failure(what: str, code: int, words: str, command: Sequence[str]) -> ActionFailed:
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return ActionFailed(
        what=what,
        expected="exit code 0",
        observed=f"{ended}: {words}",
        source="its standard error",
        hint=f"run this in a terminal, where it says why: {shlex.join(command)}"
        if words == WITHHELD
        else "the last lines that it wrote say why; nothing after this step was done",
    )
