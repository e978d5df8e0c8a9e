"""Bundles that are made to fill the memory: refused in a few words before they do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reports.bundle.bundle import CHECKER_FILE
from tests.unit.sealed_record import header_of, packed_members, padded

MOST_KIB = 600_000
# The checker as it is started, by the memory that its process took; its own limit holds.
CHECK = r"""
import re, resource, runpy, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def _bundle(files: Mapping[str, bytes]) -> bytes:
    """Return a bundle with these files and an incident, every byte around them as it has to be."""
    own = json.dumps({"target": "x", "started": {"wall": "2026-03-14T09:10:00+00:00"}}).encode()
    every = {"incident.json": own, **files}
    return packed_members(
        *(header_of(f"one/{name}", len(text)) + padded(text) for name, text in every.items())
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: packed_members(bytes(200_000_000)),
    "many lists": lambda: _bundle({"seal.json": b"[" + b"[]," * 2_700_000 + b"[]]"}),
    "deep lists": lambda: _bundle({"verdict.json": b"[" * 8_000_000}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_fill_the_memory_does_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(BOMBS[name]())
    command = [sys.executable, "-c", CHECK, str(CHECKER_FILE), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode in {1, 3}, done.stderr
    assert len(done.stdout) < 6000
    assert int(done.stderr) < MOST_KIB
