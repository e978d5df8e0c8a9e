"""What the runner of the tests makes of what pytest tells it."""

from __future__ import annotations

import io
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from tests.running import all_tests
from tests.running.all_tests import Parts
from tests.running.board import WIDTH, Durations, board, clock, show, state, wait_for
from tests.running.cut import Long, Share
from tests.running.part import NICENESS, Part, Told
from tests.running.places import PLACE, Places

MODULE = """
import pytest
def test_well(): pass
def test_wrong(): assert 1 == 2
def test_left_out(): pytest.skip("no reason")
@pytest.fixture
def broken(): raise RuntimeError("no fixture")
def test_broken(broken): pass
"""
WORKERS = ["-p", "xdist", "-n", "2"]
SETTINGS = "[pytest]\naddopts = -p no:cacheprovider\n"


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # None of them is needed here, and their imports would take most of the time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_some.py").write_text(MODULE)
    return tmp_path


def run(part: Part) -> str:
    """Run a part under a board; return what the board said."""
    said = io.StringIO()
    with Progress(said) as progress, board([part], progress, Durations(part.folder)):
        part.start()
        wait_for([part])
    return said.getvalue()


@pytest.mark.parametrize("workers", [[], WORKERS], ids=["alone", "workers"])
def test_a_part_is_told_to_its_end(tests: Path, workers: list[str]) -> None:
    part = Part("some", [str(tests), f"--rootdir={tests}", "-c", str(tests / "pytest.ini"), *workers], tests)
    said = run(part)
    assert part.code == 1
    assert not part.passed
    told = part.told
    assert len(told.planned) == 4
    assert {name: told.count(name) for name in ("passed", "failed", "skipped")} == {
        "passed": 1,
        "failed": 2,
        "skipped": 1,
    }
    assert told.seconds.keys() == set(told.planned)
    assert not told.running
    # With workers in no order.
    assert {(failure.test.partition("::")[2], failure.when) for failure in told.failures} == {
        ("test_wrong", "call"),
        ("test_broken", "setup"),
    }
    assert sum(line.startswith("FAILED ") for line in said.splitlines()) == 2, said
    assert "4 of 4, 2 failed" in said
    shown = io.StringIO()
    show([part], Console(file=shown, width=WIDTH), 61.0)
    text = shown.getvalue()
    assert "assert 1 == 2" in text
    assert "no fixture" in text
    assert text.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"
    table = text.splitlines()[text.splitlines().index(f"all of it: {part.log}") + 1 :]
    assert max(map(len, table)) <= WIDTH


def test_a_part_that_never_begins_shows_what_pytest_said(tests: Path) -> None:
    part = Part("none", [str(tests / "nothing_there.py"), "-c", str(tests / "pytest.ini")], tests)
    run(part)
    assert part.code == 4
    shown = io.StringIO()
    show([part], Console(file=shown, width=WIDTH), 1.0)
    assert "nothing_there.py" in shown.getvalue()


CRASH = """
import ctypes, os, threading
from pathlib import Path
import pytest

def crash_among_threads():
    # The newest ones are told first, and this one behind them.
    for _ in range(90):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    ctypes.string_at(0)

@pytest.fixture(scope="session")
def place(pytestconfig): return pytestconfig.workerinput["rollproof_place"]

@pytest.mark.parametrize("number", range(4))
def test_some(number, place, worker_id):
    at = Path(__file__).with_name(f"{number} by {worker_id} at {place}")
    crashed = [*at.parent.glob("* by gw0 at *")]
    at.touch()
    if number == 1 and len(crashed) == 1:
        END
"""
CONFTEST = """
from tests.running.places import Places
def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Places())
"""


@pytest.mark.parametrize(
    ("dist", "end", "said"),
    [
        ("load", "ctypes.string_at(0)", ["Fatal Python error: Segmentation fault", "in test_some"]),
        ("loadscope", "crash_among_threads()", ["Fatal Python error: Segmentation fault", "in test_some"]),
        ("loadscope", "os.kill(os.getpid(), 9)", ["it left no word"]),
    ],
)
def test_a_worker_that_crashes_is_a_failure_and_told_first(
    tests: Path, dist: str, end: str, said: list[str]
) -> None:
    """The worker that replaces it has its place, and so its stack."""
    (tests / "conftest.py").write_text(CONFTEST)
    (tests / "test_some.py").write_text(CRASH.replace("END", end))
    options = ["-c", str(tests / "pytest.ini"), "-p", "xdist", "-n", "1", "--dist", dist]
    part = Part("some", [str(tests), f"--rootdir={tests}", *options], tests)
    assert "CRASHED worker gw0 of some" in run(part)
    assert len(part.told.crashes) == 1
    assert (part.passed, [one.test for one in part.told.failures]) == (False, ["test_some.py::test_some[1]"])
    assert (len(part.told.planned), part.told.count("passed"), part.told.count("failed")) == (4, 3, 1)
    assert not part.told.running
    assert {file.name for file in tests.glob("[23] by *")} == {"2 by gw1 at 0", "3 by gw1 at 0"}
    assert not list(tests.glob("*.crash"))
    shown = io.StringIO()
    show([part], Console(file=shown, width=WIDTH), 61.0)
    assert shown.getvalue().startswith("some: worker gw0 crashed")
    assert [text for text in said if text not in shown.getvalue()] == []


def test_workers_that_crash_before_their_tests_are_no_empty_selection(tests: Path) -> None:
    (tests / "test_some.py").write_text("import ctypes\nctypes.string_at(0)\n")
    options = ["-c", str(tests / "pytest.ini"), "-p", "xdist", "-n", "1"]
    part = Part("some", [str(tests), f"--rootdir={tests}", *options], tests)
    run(part)
    assert (part.passed, part.code == ExitCode.NOTHING_SELECTED) == (False, False)
    shown = io.StringIO()
    show([part], Console(file=shown, width=WIDTH), 61.0)
    assert "Fatal Python error: Segmentation fault" in shown.getvalue()


def test_a_worker_takes_the_first_free_place() -> None:
    places = Places()
    nodes = [
        SimpleNamespace(gateway=SimpleNamespace(id=f"gw{number}"), workerinput={}) for number in range(6)
    ]

    def place(number: int) -> int:
        places.pytest_configure_node(nodes[number])
        return int(nodes[number].workerinput[PLACE])

    assert [place(0), place(1), place(2)] == [0, 1, 2]
    places.pytest_testnodedown(nodes[1])
    assert place(3) == 1
    places.pytest_testnodedown(nodes[0])
    places.pytest_testnodedown(nodes[3])
    assert [place(4), place(5)] == [0, 1]


def test_what_many_tests_fail_by_is_said_once(tests: Path) -> None:
    (tests / "test_some.py").write_text(
        "import pytest\n@pytest.fixture(scope='session')\ndef stack(): pytest.fail('no stack')\n"
        "@pytest.mark.parametrize('number', range(9))\ndef test_some(stack, number): pass\n"
    )
    part = Part("some", [str(tests), f"--rootdir={tests}", "-c", str(tests / "pytest.ini")], tests)
    run(part)
    shown = io.StringIO()
    show([part], Console(file=shown, width=WIDTH), 61.0)
    assert shown.getvalue().count("Failed: no stack") == 1
    last = "test_some.py::test_some[8]"
    assert f"and 8 more by the same, the last of them {last}" in shown.getvalue()


def test_a_part_in_the_background_yields_as_a_session_too(tests: Path) -> None:
    said = "print('group', group.read_text() if (group := Path('/proc/self/autogroup')).exists() else '')"
    nice = "print('nice', os.nice(0))"
    (tests / "test_some.py").write_text(
        f"import os\nfrom pathlib import Path\ndef test_says():\n    {said}\n    {nice}\n"
    )
    part = Part("some", [str(tests), "-s", "-c", str(tests / "pytest.ini")], tests, background=True)
    run(part)
    assert part.passed
    lines = part.log.read_text().splitlines()
    assert any(line.endswith(f"nice {min(os.nice(0) + NICENESS, 19)}") for line in lines), lines
    if Path("/proc/self/autogroup").exists():
        assert any(line.endswith(f" nice {NICENESS}") and "group" in line for line in lines), lines


def test_what_is_stopped_leaves_no_process(tests: Path) -> None:
    (tests / "test_some.py").write_text("import time\ndef test_sleeps(): time.sleep(600)\n")
    part = Part("some", [str(tests), "-c", str(tests / "pytest.ini")], tests)
    part.start()
    while not part.told.running:
        part.look()
        time.sleep(0.05)
    part.stop()
    assert not part.look()
    assert part.code not in {None, 0}


def test_no_part_begins_once_the_run_was_stopped(tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_tests, "BROWSER", {})
    (tests / "test_some.py").write_text("import time\ndef test_sleeps(): time.sleep(600)\n")
    first, second = (
        Part(name, [str(tests), "-c", str(tests / "pytest.ini")], tests) for name in ("first", "second")
    )
    with Progress(io.StringIO()) as progress, board([first, second], progress, Durations(tests)):
        stopped = ExitStack()
        stopped.enter_context(all_tests.beside([first, second], progress))
        while not first.told.running:
            time.sleep(0.05)
        assert not stopped.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert first.code not in {None, 0}
    assert second.began is None


def test_how_much_is_left_is_told_by_what_tests_took_last_time(tmp_path: Path) -> None:
    (tmp_path / "durations.json").write_text(json.dumps({"a": 10, "b": 30, "c": 20}))
    part = Part("some", [], tmp_path, began=0.0, seconds=20.0)
    assert Durations(tmp_path).left(part) is None
    part.told.take({"event": "collected", "tests": ["a", "b", "c"], "long": {}})
    part.told.take({"event": "ended", "test": "a", "outcome": "passed", "seconds": 11.0})
    assert Durations(tmp_path).left(part) == pytest.approx(20.0 * 50 / 10)
    first = Part("first", [], tmp_path, began=0.0, seconds=20.0)
    first.told.take({"event": "collected", "tests": ["a", *map(str, range(60))], "long": {}})
    first.told.take({"event": "ended", "test": "a", "outcome": "passed", "seconds": 11.0})
    assert Durations(tmp_path).left(first) is None
    part.told.take({"event": "started", "test": "tests/stack/test_b.py::test_b"})
    line = state(part, Durations(tmp_path))
    assert line.startswith("some         1 of 3, 0:20, about 1:40 left; 0:00 b")
    Durations(tmp_path).keep([part])
    assert json.loads((tmp_path / "durations.json").read_text()) == {"a": 11.0, "b": 30, "c": 20}


def test_a_record_of_no_known_event_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown"):
        Told().take({"event": "unknown"})


def test_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


def test_the_default_run_has_every_folder_of_tests_and_no_long_one() -> None:
    parts = Parts.of(None, ["-x"])
    assert [part.name for part in parts.every] == ["unit", "plugin", "stack"]
    assert not any("--long" in argument for part in parts.every for argument in part.arguments)
    assert all(part.arguments[-1] == "-x" for part in parts.every)


def test_every_folder_has_its_share_of_all() -> None:
    parts = Parts.of(Share(2, 2), []).every
    assert [part.name for part in parts] == ["unit", "plugin", "stack", "alone"]
    assert all("--long=2/2" in part.arguments for part in parts)


def test_long_tests_are_told_with_their_minutes() -> None:
    told = Told()
    told.take({"event": "collected", "tests": ["a"], "long": {"a": {"minutes": 3, "alone": True}}})
    assert told.long == {"a": Long(3, alone=True)}


def test_what_is_long_is_told_when_it_is_collected(tests: Path) -> None:
    (tests / "test_some.py").write_text(
        "import pytest\n@pytest.mark.alone\n@pytest.mark.long(minutes=3)\ndef test_long(): pass\n"
        "def test_short(): pass\n"
    )
    part = Part("some", [str(tests), "-c", str(tests / "pytest.ini"), "--collect-only"], tests)
    run(part)
    assert part.passed
    assert part.told.long == {"test_some.py::test_long": Long(3, alone=True)}
