"""Secrets that a program prints, such as `sops`. What it prints is never shown, nor what else it says."""

from __future__ import annotations

import os
import subprocess
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
    # In memory, not a pipe: a program that it has started may keep a pipe open.
    with os.fdopen(os.memfd_create("secret"), "w+b") as output:
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, ValueError) as error:
            raise _wrong(f"{reason_of(error)}: {command[0]}") from None
        except subprocess.TimeoutExpired:
            raise _wrong(f"{command[0]} still running after {SECONDS:g} s") from None
        if ended.returncode != 0:
            raise _wrong(f"exit code {ended.returncode} of {command[0]}")
        output.seek(0)
        data = output.read(LARGEST_SECRET + 1)
    text = data.decode(errors="replace").strip()
    if not text or len(data) > LARGEST_SECRET or "\N{REPLACEMENT CHARACTER}" in text:
        raise _wrong(f"nothing, no UTF-8, or more than {LARGEST_SECRET:,} bytes from {command[0]}")
    return text


def _wrong(observed: str) -> Wrong:
    return Wrong("a program that prints the secret", observed, hint=_HINT)
