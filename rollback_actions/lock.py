"""One rollback of a target at a time on this machine. The lock is the kernel's: it ends with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.errors import UsageProblem


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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
            raise UsageProblem(
                what=f"lock of target {target}",
                expected="free",
                observed=f"held by process {holder}",
                source=str(path),
                hint="wait for that rollback, or end that process first",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
