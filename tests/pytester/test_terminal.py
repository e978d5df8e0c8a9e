"""What a person sees at a terminal of 80 columns: causes, each once, and the verdict as the last line."""

from __future__ import annotations

import pytest

from rollproof.errors import ExitCode
from tests.pytester.conftest import (
    UNRENDERED,
    Sandbox,
)

COLUMNS = 80
GONE = """
@pytest.fixture(scope="session")
def engine():
    raise Unverifiable(what="container engine", expected="an answer", observed="No such file or directory",
                       source="unix:///gone.sock", hint="docker version")
@pytest.mark.phase1
@pytest.mark.parametrize("service", range(60))
def test_runs(engine, service): pass
"""


@pytest.fixture
def terminal(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A project that makes the whole record, at a terminal of 80 columns."""
    names = ("scrubbing", "record")
    sandbox.plugins("fixtures.gating.evidence", then=[f"reports.run.{name}" for name in names])
    sandbox.settings(UNRENDERED)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    return sandbox


def test_equal_causes_are_one_entry(terminal: Sandbox) -> None:
    terminal.checks(test_a=GONE)
    outcome = terminal.run()
    assert outcome.code == ExitCode.BROKEN
    assert outcome.text.count("unix:///gone.sock") == 1
    assert "BROKEN  60 checks, the first test_runs[0]\n" in outcome.text
    assert "  HINT: docker version\n" in outcome.text


@pytest.mark.parametrize(
    ("sandbox", "options"), [([], []), ([], ["-qq", "--no-summary"]), (["-n2"], ["-x"])], indirect=["sandbox"]
)
@pytest.mark.parametrize("red", [False, True])
def test_the_verdict_is_the_last_line(terminal: Sandbox, options: list[str], red: bool) -> None:  # noqa: FBT001 - a case
    terminal.checks(test_a=f"@pytest.mark.phase1\ndef test_x(): assert not {red}")
    outcome = terminal.run(*options)
    assert outcome.text.splitlines()[-1].startswith("FAILED: " if red else "PASSED: ")
