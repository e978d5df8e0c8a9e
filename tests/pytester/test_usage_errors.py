"""A usage error is no part of an incident: nothing is written into the open one, and none is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import EXIT_CODES_TOLD, ExitCode
from tests.pytester.conftest import ALONE_AND_WITH_WORKERS, Sandbox

CHECKS = """
@pytest.fixture
def migration(): return "c" * 40
@pytest.mark.phase1
def test_one(): pass
@pytest.mark.step1
def test_backup(migration): pass
"""
WRONG = [["-m", "step1"], ["checks/none.py"], ["checks/test_a.py::test_none"], ["-m", "("]]


@pytest.fixture
def recorded(sandbox: Sandbox) -> Sandbox:
    sandbox.recorded()
    sandbox.checks(test_a=CHECKS)
    return sandbox


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@ALONE_AND_WITH_WORKERS
def test_the_open_incident_is_as_it_was(recorded: Sandbox) -> None:
    assert recorded.run("-m", "phase1", "--incident=one").code == ExitCode.VERIFIED
    folder = recorded.pytester.path / "incidents"
    (folder / "one" / "closed.json").write_text('{"closed": {}}')
    before = files(folder)
    # With workers, pytest-xdist passes no other usage error on.
    for arguments in WRONG[:1] if recorded.parallel else WRONG:
        outcome = recorded.run(*arguments, "--incident=one")
        assert outcome.code == ExitCode.USAGE, outcome.text
        assert "incident one" not in outcome.text
        assert "1 passed" not in outcome.text
        assert files(folder) == before


def test_no_incident_is_opened(recorded: Sandbox) -> None:
    for arguments in WRONG:
        assert recorded.run(*arguments).code == ExitCode.USAGE
    assert files(recorded.pytester.path / "incidents") == {}


def test_help_tells_every_exit_code(recorded: Sandbox) -> None:
    assert EXIT_CODES_TOLD in " ".join(recorded.run("--help").text.split())


def test_a_baseline_that_is_none_is_a_typing_error(recorded: Sandbox) -> None:
    for named in ("nosuch", "checks", "x" * 5_000):
        outcome = recorded.run("-m", "phase1", f"--baseline={named}")
        assert outcome.code == ExitCode.USAGE
        assert "baseline: expected the folder of one, or its name" in outcome.text
    assert files(recorded.pytester.path / "incidents") == {}


@pytest.mark.parametrize(
    ("body", "said"), [("pass", "PASSED: no figure"), ("assert False", "FAILED: a figure")]
)
def test_severity_says_its_own_result(recorded: Sandbox, body: str, said: str) -> None:
    severity = f"@pytest.mark.severity\ndef test_s(): {body}"
    recorded.checks(test_b=f"@pytest.mark.phase1\ndef test_p1(): assert False\n{severity}")
    assert recorded.run("-m", "phase1", "--incident=one").code == ExitCode.FAILED
    outcome = recorded.run("-m", "severity", "--incident=one")
    assert said in outcome.text
    assert "Phase 1" not in outcome.text
    assert "During: Severity" in outcome.text
    assert outcome.code == (ExitCode.VERIFIED if body == "pass" else ExitCode.FAILED)
    assert recorded.run("-m", "phase1", "--incident=one").text.count("Phase 1") == 1
