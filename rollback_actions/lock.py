"""One rollback of a target at a time on this machine. The lock is the kernel's: it ends with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.errors import UsageProblem

# Whoever asks who holds a lock holds it for a moment itself.
_MOMENT_SECONDS = 0.2


@contextmanager
def target_lock(incidents: Path, target: str) -> Iterator[None]:
    """Hold the lock of `target` while the body runs.

    Raises:
        UsageProblem: another process holds it; it is named.
    """
    incidents.mkdir(parents=True, exist_ok=True)
    path = incidents / f".{target}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not (_taken(descriptor) or _taken(descriptor, after=_MOMENT_SECONDS)):
            holder = _holder(descriptor)
            raise UsageProblem(
                what=f"lock of target {target}",
                expected="free",
                observed=f"held by process {holder}",
                source=str(path),
                hint="wait for that rollback, or end that process first",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def lock_holder(incidents: Path, target: str) -> str | None:
    """Return the process that holds the lock of `target`, None when nobody does; changes nothing."""
    try:
        descriptor = os.open(incidents / f".{target}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared: two that ask do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _taken(descriptor: int, after: float = 0.0) -> bool:
    time.sleep(after)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
