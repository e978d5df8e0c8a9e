"""Run other programs within a deadline, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fixtures.errors import Problem

GRACE_SECONDS = 10
POLL_SECONDS = 0.5
TAIL_LINES = 20


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def run(
    arguments: Sequence[str],
    *,
    seconds: float,
    hint: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cancelled: threading.Event | None = None,
) -> str:
    """Run a program and return its standard output.

    The program gets its own session: a Ctrl-C in the terminal reaches this process alone, which then ends the
    program and all its children.

    Args:
        arguments: The program and its arguments; no shell sees them.
        seconds: The deadline.
        hint: The reader's remedy if it fails.
        folder: The working directory.
        environment: Variables on top of this process's own.
        cancelled: Ends the program early once set, as a deadline would.

    Raises:
        Problem: The program is missing, timed out, or ended with another code than 0; the message holds its
            last lines.
    """
    command = " ".join(arguments)
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Problem(
            what=command,
            expected="the program to be installed",
            observed=f"no {arguments[0]}",
            source="PATH",
            hint=hint,
        ) from error
    try:
        finished = _wait(process, seconds, cancelled or threading.Event())
        output, errors = finished or end(process)
    except BaseException:
        end(process)
        raise
    if finished is None:
        raise Problem(
            what=command,
            expected=f"an end within {seconds:.0f} s, uninterrupted",
            observed=f"none; its last lines were\n{tail(output + errors)}",
            source="its output",
            hint=hint,
        )
    if process.returncode != 0:
        raise Problem(
            what=command,
            expected="exit code 0",
            observed=f"{process.returncode}; its last lines were\n{tail(output + errors)}",
            source="its output",
            hint=hint,
        )
    return output


def _wait(
    process: subprocess.Popen[str], seconds: float, cancelled: threading.Event
) -> tuple[str, str] | None:
    """Return the program's output once it has ended by itself; None if it timed out or was cancelled."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up and not cancelled.is_set():
        try:
            return process.communicate(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return None


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a program and its children by SIGTERM, then SIGKILL; return its output."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            return process.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return process.communicate(timeout=GRACE_SECONDS)
