"""Bundles that anybody may have made: refused in a few words, before they cost memory or time."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.bundle.bundle import CHECKER_FILE
from reports.bundle.verify_record import check
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


def _kind(name: str, size: int, kind: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.mode = size, kind, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


PARTS = [
    *(header_of("one/x", 0), header_of("one/x", 1) + padded(b"x"), header_of("one/../x", 0)),
    *(_kind("one/l", 0, b"2"), _kind("x", 14, b"x") + padded(b"17 path=one/x\n"), _kind("x", 600, b"L")),
    *(b"\xff" * 512, bytes(512), b"", b"x"),
]
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


@given(st.lists(st.sampled_from(PARTS), max_size=5), st.integers(0, 40), st.binary(max_size=3))
def test_whatever_is_in_an_archive(parts: list[bytes], at: int, more: bytes) -> None:
    data = packed_members(*parts)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data[:at] + more + data[at + len(more) :] if at < len(data) else data + more)
        # Nothing is raised.
        assert check(path).code in {1, 3}
