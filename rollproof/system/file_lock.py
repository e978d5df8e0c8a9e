"""A lock that is a file: the kernel releases it when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollproof.errors import UsageProblem
from rollproof.system.holder import Holder

_POLL_SECONDS = 0.05


@contextmanager
def file_lock(path: Path, what: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock `path`, to do `what`, while the body runs; the file names the holder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageProblem.of_file(
            path,
            error,
            what=f"lock to {what}",
            expected="a file that can be written",
            hint="correct the permissions of that folder, or name another one in the profile",
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if not locked_within(descriptor, fcntl.LOCK_EX, wait_seconds):
            holder = file.read(1000).decode(errors="replace").strip()
            raise UsageProblem(
                what=f"lock to {what}",
                expected="free",
                observed=f"held by {holder or 'a process that has not said who it is'}",
                source=str(path),
                hint="one at a time: leave it to that one, or end it first",
            )
        file.truncate(0)
        file.write(f"{Holder.doing(what)}\n".encode())
        yield


def locked_within(descriptor: int, how: int, seconds: float) -> bool:
    """Lock an open file, until it is closed; return whether that was possible within `seconds`.

    `how` is `fcntl.LOCK_EX`, or `fcntl.LOCK_SH` to hold it with others who do.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
