"""Secrets that a program prints, such as `sops`. What it prints is never shown, nor what else it says."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from rollproof.errors import Wrong, reason_of

SECONDS = 30.0
"""The time that a program has to print a secret."""
LARGEST_SECRET = 64 * 1024
"""Bytes of a secret, from a program or a file."""
_HINT = "run it by hand: its own words are not shown here, since they may hold the secret"


@cache
def printed(command: tuple[str, ...], folder: Path) -> str:
    """Return what `command`, started in `folder`, prints: once a process, however many profiles ask.

    It is started below `rollproof.system.command`, which needs the profile's secrets for its messages.

    Raises:
        Wrong: it cannot be started, does not end in time, fails, or prints no text.
    """
    expected = "a program that prints the secret"
    with os.fdopen(os.memfd_create("secret"), "w+b") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Wrong(expected, f"{reason_of(error)}: {command[0]}", hint=f"install {command[0]}") from None
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(expected, f"{command[0]} still running after {SECONDS:g} s", hint=_HINT) from None
        finally:
            # What it has started as well, and at Ctrl-C.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            raise Wrong(expected, f"exit code {code} of {command[0]}", hint=_HINT)
        if output.seek(0, os.SEEK_END) > LARGEST_SECRET:
            raise Wrong(f"at most {LARGEST_SECRET:,} bytes", f"more from {command[0]}", hint=_HINT)
        output.seek(0)
        try:
            text = output.read().decode().strip()
        except UnicodeDecodeError:
            raise Wrong("UTF-8 text", f"other bytes from {command[0]}", hint=_HINT) from None
    if not text:
        raise Wrong("a secret", f"nothing printed by {command[0]}", hint=_HINT)
    return text
