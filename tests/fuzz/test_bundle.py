"""Bundles that anybody may have made: refused in a few words, before they cost memory or time."""

from __future__ import annotations

import gc
import runpy
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.bundle import record_check
from reports.bundle.bundle_check import BundleWrong, verify_bundle
from reports.bundle.record_check import CHECKER, check_record
from rollproof.errors import Unverifiable
from tests.fork_server import ForkServer
from tests.fuzz.growth import TIMES, is_linear
from tests.fuzz.hostile_bundles import BOMBS, EMPTY, RECORDS, manifest, member, packed

MOST_KIB = 200_000
# The whole of a process that verifies: its reader's memory, and what Python and its libraries take.
VERIFY = r"""
import re, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
import reports.bundle.bundle_check as check
import rollproof.redaction.redactor
try:
    check.verify_bundle(Path(sys.argv[1]))
except check.BundleWrong as wrong:
    print(wrong)
print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
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
PARTS = [
    *(
        member("one/bundle.json", manifest({})),
        member("one/bundle.json", manifest({"x": {"size": 0, "sha256": EMPTY}})),
    ),
    *(
        member("one/x"),
        member("one/x", b"x"),
        member("one/../x"),
        member("x" * 3000),
        member("one/l", b"", b"2"),
    ),
    *(
        member("x", b"17 path=one/x\n", b"x"),
        member("x", b"12 size=-1\n", b"x"),
        member("x", b"9 = \n", b"g"),
    ),
    *(
        member("x", b"22 GNU.sparse.major=1\n25 GNU.sparse.name=x\n", b"x"),
        member("x", b"y" * 600, b"L"),
        b"\xff" * 512,
    ),
    *(bytes(512), b"", b"x"),
]


@pytest.fixture(scope="module")
def verifiers() -> Iterator[ForkServer]:
    """Processes that have imported what verifies bundles, and nothing else."""
    server = ForkServer(("reports.bundle.bundle_check", "rollproof.redaction.redactor"), bare=True)
    yield server
    server.close()


@pytest.fixture(scope="module")
def makers() -> Iterator[ForkServer]:
    """Processes that make bundles: this one may not take the memory that some of them take."""
    server = ForkServer(("rollproof.system.files",), bare=True)
    yield server
    server.close()


def _made(makers: ForkServer, name: str, path: Path) -> Path:
    done = makers.run("tests.fuzz.hostile_bundles", name, "8000", str(path))
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_fill_the_memory_does_not(
    verifiers: ForkServer, makers: ForkServer, tmp_path: Path, name: str
) -> None:
    path = _made(makers, name, tmp_path / "x")
    done = verifiers.run("-c", VERIFY, str(path), seconds=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bundle: expected ")
    assert len(done.stdout) < 700 + 2 * len(str(path))
    assert int(done.stderr) < MOST_KIB


@pytest.fixture(scope="module")
def checkers() -> Iterator[ForkServer]:
    """Processes that have imported nothing but what the checker imports."""
    server = ForkServer(("json", "tarfile", "tempfile", "subprocess", "runpy"), bare=True)
    yield server
    server.close()


@pytest.mark.parametrize("name", [*RECORDS, *BOMBS])
def test_the_checker_is_not_filled_either(
    checkers: ForkServer, makers: ForkServer, tmp_path: Path, name: str
) -> None:
    path = _made(makers, name, tmp_path / "x")
    done = checkers.run("-c", CHECK, str(CHECKER), str(path), seconds=200)
    assert done.returncode in {1, 3}, done.stderr
    assert len(done.stdout) < 6000
    assert int(done.stderr) < MOST_KIB


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS)
def test_the_work_of_the_checker_grows_as_the_bundle_does(
    tmp_path: Path, make: Callable[[int], bytes]
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(make(250))
    large.write_bytes(make(250 * TIMES))
    check = runpy.run_path(str(CHECKER))["main"]

    def work(path: Path) -> None:
        # A collection of this process walks all that pytest has, and not only what the checker made.
        gc.disable()
        with redirect_stdout(StringIO()):
            assert check([str(path)]) in {1, 3}

    try:
        assert is_linear(work, small, large)
    finally:
        gc.enable()


def test_a_checker_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(60)\n")
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(record_check, "CHECKER", slow)
    monkeypatch.setattr(record_check, "_SECONDS", 0.2)
    with pytest.raises(Unverifiable, match="no end within"):
        check_record(tmp_path / "x")


@given(st.lists(st.sampled_from(PARTS), max_size=5), st.integers(0, 40), st.binary(max_size=3))
def test_whatever_is_in_an_archive(parts: list[bytes], at: int, more: bytes) -> None:
    data = packed(*parts)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data[:at] + more + data[at + len(more) :] if at < len(data) else data + more)
        # Nothing else is raised.
        with suppress(BundleWrong):
            verify_bundle(path)
