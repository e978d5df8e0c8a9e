"""What a person sees at a terminal of 80 columns: causes, each once, and the verdict as the last line."""

from __future__ import annotations

from math import ceil

import pytest

from reports.run.causes import ALL_ROWS, ROWS
from rollproof.errors import ExitCode
from tests.pytester.conftest import (
    ALONE_AND_AT_LENGTH_WITH_WORKERS,
    UNRENDERED,
    Sandbox,
)
from tests.running.cut import VARIANT

COLUMNS = 80
MOST_ROWS = 60
GONE = """
@pytest.fixture(scope="session")
def engine():
    raise Unverifiable(what="container engine", expected="an answer", observed="No such file or directory",
                       source="unix:///gone.sock", hint="docker version")
@pytest.mark.phase1
@pytest.mark.parametrize("service", range(60))
def test_runs(engine, service): pass
@pytest.mark.phase2
@pytest.mark.parametrize("service", range(60))
def test_answers(service): pass
"""
EACH_ANOTHER = """
@pytest.mark.phase1
@pytest.mark.parametrize("table", range(40))
def test_rows(table):
    raise Mismatch(what=f"rows of table {table}", expected="as recorded: " + "x" * 500, observed="y" * 5_000,
                   source="the store", hint="compare " + "z" * 500)
"""


@pytest.fixture
def terminal(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A project that makes the whole record, at a terminal of 80 columns."""
    names = ("scrubbing", "annotations", "causes", "record")
    sandbox.plugins("fixtures.gating.evidence", then=[f"reports.run.{name}" for name in names])
    sandbox.settings(UNRENDERED)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    return sandbox


def rows(text: str) -> int:
    """Return the rows that `text` takes at the terminal."""
    return sum(max(1, ceil(len(line) / COLUMNS)) for line in text.splitlines())


def red_checks(text: str) -> str:
    """Return the section of causes."""
    return text.partition("red checks, by cause")[2].partition("\n")[2].partition("\n==")[0]


def test_equal_causes_are_one_entry(terminal: Sandbox) -> None:
    terminal.checks(test_a=GONE)
    outcome = terminal.run()
    assert outcome.code == ExitCode.BROKEN
    causes = red_checks(outcome.text)
    assert causes.count("unix:///gone.sock") == 1
    assert "60 checks" in causes
    assert "HINT: docker version" in causes
    assert rows(causes) <= ROWS
    assert rows(outcome.text) <= MOST_ROWS


def test_a_whole_verification_with_everything_to_say_fits_the_screen(terminal: Sandbox) -> None:
    more = """
@pytest.mark.phase{0}
@pytest.mark.parametrize("table", range(40))
def test_more_{0}(table, note): note(f"note {{table}}: " + "n" * 300)
"""
    body = "".join(more.format(number) for number in range(1, 5))
    terminal.checks(test_a=f"from rollproof.errors import Mismatch\n{EACH_ANOTHER}{body}")
    outcome = terminal.run()
    assert outcome.code == ExitCode.FAILED
    assert outcome.text.count("  note    ") == 3
    assert "all 40 are in verdict.json" in outcome.text
    assert rows(outcome.text) <= MOST_ROWS
    assert outcome.incident is not None
    assert "note 39: n" in (outcome.incident / "verdict.json").read_text(encoding="utf-8")


def test_a_red_check_is_a_few_rows_and_all_of_them_fit_the_screen(terminal: Sandbox) -> None:
    terminal.checks(test_a=f"from rollproof.errors import Mismatch\n{EACH_ANOTHER}")
    outcome = terminal.run()
    assert outcome.code == ExitCode.FAILED
    causes = red_checks(outcome.text)
    shown = causes.count("HINT: ")
    assert 1 <= shown <= ALL_ROWS // ROWS
    assert rows(causes) <= ALL_ROWS + 1
    assert f"and {40 - shown} more causes of {40 - shown} checks" in causes
    assert rows(outcome.text) <= MOST_ROWS


OF_ONE_CONTAINER = """
from rollproof.errors import Mismatch
def differs(what):
    raise Mismatch(what=what, expected="1", observed="2", source="the engine", hint="run it again")
@pytest.mark.phase1
@pytest.mark.parametrize("service", ["api", "web"])
def test_image(service): differs(f"image of {service}")
@pytest.mark.phase1
@pytest.mark.parametrize("service", ["api", "web"])
def test_commit(service): differs(f"commit of {service}")
@pytest.mark.phase1
def test_disk(): differs("disk")
@pytest.mark.phase1
def test_room(): differs("room")
"""


def test_image_and_commit_of_one_container_are_one_cause(terminal: Sandbox) -> None:
    terminal.checks(test_a=OF_ONE_CONTAINER)
    causes = red_checks(terminal.run().text)
    assert causes.count("HINT: run it again") == 4
    assert "2 checks, the first test_image[api]\n  image of api: expected 1, observed 2" in causes
    assert "commit of api: expected 1" in causes


def test_a_warning_that_is_counted_is_shown(terminal: Sandbox) -> None:
    terminal.checks(test_a="import warnings\n@pytest.mark.phase1\ndef test_x(): warnings.warn('is old')")
    text = terminal.run().text
    assert "1 warning" in text
    assert "UserWarning: is old" in text


@ALONE_AND_AT_LENGTH_WITH_WORKERS
def test_a_crash_names_its_place_and_leaves_its_traceback_to_the_record(terminal: Sandbox) -> None:
    terminal.checks(test_a="@pytest.mark.phase1\ndef test_x():\n    inner = {}\n    inner['absent']")
    outcome = terminal.run()
    causes = red_checks(outcome.text)
    assert "KeyError: 'absent'" in causes
    assert "test_a.py:" in causes
    assert "inner = {}" not in outcome.text
    assert rows(causes) <= ROWS


def test_whoever_asks_for_tracebacks_gets_them(terminal: Sandbox) -> None:
    terminal.checks(test_a="@pytest.mark.phase1\ndef test_x():\n    inner = {}\n    inner['absent']")
    outcome = terminal.run("--tb=long")
    assert "inner = {}" in outcome.text
    assert red_checks(outcome.text) == ""


def test_a_module_that_cannot_be_imported_is_a_cause(terminal: Sandbox) -> None:
    terminal.checks(test_a="import no_such_module")
    outcome = terminal.run()
    assert "no_such_module" in red_checks(outcome.text)
    assert rows(outcome.text) <= MOST_ROWS


@pytest.mark.parametrize(
    ("sandbox", "options"),
    [
        *([[], options] for options in ([], ["-q"], ["-qq"], ["--no-summary"], ["--tb=short"], ["-x"])),
        (["-n2"], []),
        *(
            pytest.param(["-n2"], options, marks=VARIANT)
            for options in (["-q"], ["-qq"], ["--no-summary"], ["--tb=short"], ["-x"])
        ),
    ],
    indirect=["sandbox"],
)
@pytest.mark.parametrize("red", [False, True])
def test_the_verdict_is_the_last_line(terminal: Sandbox, options: list[str], red: bool) -> None:  # noqa: FBT001 - a case
    terminal.checks(test_a=f"@pytest.mark.phase1\ndef test_x(): assert not {red}")
    outcome = terminal.run(*options)
    assert outcome.text.splitlines()[-1].startswith("FAILED: " if red else "PASSED: ")
