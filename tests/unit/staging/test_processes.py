"""Other programs are run within a deadline and leave nothing behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from rollproof.errors import Problem
from staging.processes import run

SHELL = ["bash", "-c"]


def alive(mark: str) -> bool:
    """Return whether any process has that mark on its command line."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def test_a_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    mark = f"{tmp_path}/mark"
    program = f"{sys.executable} -c 'import time; time.sleep(60)' {mark} & echo begun; wait"
    with pytest.raises(Problem, match=r"an end within 1 s.*\nbegun"):
        run([*SHELL, program], seconds=1, hint="none")
    # The child has its signal; on a busy machine it ends a moment later.
    for _ in range(100):
        if not alive(mark):
            return
        time.sleep(0.1)
    pytest.fail("the child lives on")
