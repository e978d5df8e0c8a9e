"""A run of checks that was killed: its record is made anew, and hides nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.errors import ExitCode
from fixtures.verdict import Verdict
from reports import renewal
from reports.event import Kind
from reports.timeline import read_timeline
from tests.pytester.conftest import Sandbox

KILLED = """
@pytest.mark.phase1
def test_running():
    note("ran")

@pytest.mark.phase2
def test_answers(pytestconfig):
    # Not by the environment: these tests may run in a worker themselves.
    os.kill(os.getppid() if hasattr(pytestconfig, "workerinput") else os.getpid(), signal.SIGKILL)
    time.sleep(60)

@pytest.mark.phase2
def test_after():
    # It must not have ended when the other worker kills the run.
    time.sleep(20)
"""


def test_a_killed_run_leaves_an_honest_record(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(folder: Path, **_: object) -> Path:
        return folder

    monkeypatch.setattr(renewal, "render", render)
    sandbox.checks(test_a=KILLED)

    killed = sandbox.run("--timeout=20")

    assert killed.code != ExitCode.VERIFIED
    assert killed.incident is not None
    assert not (killed.incident / "verdict.json").exists()
    verdict = renewal.renew(killed.incident, print)
    assert verdict.verdict is Verdict.BROKEN
    assert (verdict.phases["phase1"].passed, verdict.phases["phase2"].broken) == (1, 2)
    page = (killed.incident / "postmortem.md").read_text(encoding="utf-8")
    assert page.count("it was planned and never reported") == 4
    results = [json.loads(p.read_text()) for p in (killed.incident / "allure-results").glob("*-result.json")]
    assert sorted(result["status"] for result in results) == ["broken", "broken", "passed"]
    # The limits of the profile are in the record of the run.
    (phase,) = [e for e in read_timeline(killed.incident).of(Kind.PHASE) if e.text.startswith("Phase 1")]
    assert phase.deadline is not None
    assert 100 < phase.deadline <= 120
