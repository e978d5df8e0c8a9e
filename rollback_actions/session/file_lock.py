"""A lock that is a file: the kernel releases it when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.errors import UsageProblem, reason_of
from fixtures.system.holder import Holder

_POLL_SECONDS = 0.05


@contextmanager
def file_lock(path: Path, what: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock `path`, to do `what`, while the body runs; the file names the holder.

    Raises:
        UsageProblem: another process still holds it after `wait_seconds`, or the file cannot be created.
    """
    give_up = time.monotonic() + wait_seconds
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageProblem(
            what=f"lock to {what}",
            expected="a file that can be written",
            observed=reason_of(error),
            source=str(path),
            hint="correct the permissions of that folder, or name another one in the profile",
        ) from None
    try:
        while not _taken(descriptor):
            if time.monotonic() >= give_up:
                raise _held(path, what, os.pread(descriptor, 1000, 0).decode(errors="replace").strip())
            time.sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{Holder.this(what)}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(path: Path, what: str, holder: str) -> UsageProblem:
    return UsageProblem(
        what=f"lock to {what}",
        expected="free",
        observed=f"held by {holder or 'a process that has not said who it is'}",
        source=str(path),
        hint="one at a time: leave it to that one, or end it first",
    )
