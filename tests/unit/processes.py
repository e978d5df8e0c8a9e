"""Processes that a test has had started, and that must end."""

from __future__ import annotations

import time
from pathlib import Path

SECONDS = 60.0


def runs(pid: int) -> bool:
    """Tell whether a process runs: one that has ended waits as a zombie until somebody collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended: it may have been told to a moment ago."""
    give_up = time.monotonic() + SECONDS
    while runs(pid):
        assert time.monotonic() < give_up, f"process {pid} still runs"
        time.sleep(0.02)
