"""The runner of the tests: no part that failed, crashed or was stopped passes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from tests.running.all_tests import code_of, finish
from tests.running.part import Part

WORKER = ["-p", "xdist", "-n", "1"]
CRASH = """
import ctypes
def test_crash():
    ctypes.string_at(0)
def test_some(): pass
"""


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # None of them is needed here, and their imports would take most of the time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    return tmp_path


def part_of(tests: Path, content: str, *options: str, name: str = "some", background: bool = False) -> Part:
    (tests / "test_some.py").write_text(content)
    arguments = [str(tests), f"--rootdir={tests}", "-c", str(tests / "pytest.ini"), *options]
    return Part(name, arguments, tests, background=background)


def run(*lane: Part) -> int:
    with Progress(io.StringIO()) as progress:
        finish([lane], progress)
    return code_of(lane)


def test_a_part_with_a_red_test_fails_the_run_and_shows_it(tests: Path) -> None:
    red = part_of(tests, "def test_well(): pass\ndef test_wrong(): assert 1 == 2\n")
    green = part_of(tests, red.log.with_name("test_some.py").read_text(), "-k", "well", name="green")
    assert run(red, green) == 1
    assert (red.passed, green.passed) == (False, True)
    assert "assert 1 == 2" in red.failures()
    assert red.state.startswith("1 failed, 1 passed in ")


def test_a_worker_that_crashes_is_a_failure(tests: Path) -> None:
    part = part_of(tests, CRASH, *WORKER)
    assert run(part) == 1
    assert "worker 'gw0' crashed while running" in part.failures()
    assert part.state.startswith("1 failed, ")
