"""A run of checks that was killed: its record is made anew, and hides nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reports.incident.events import Kind, timeline_of
from reports.incident.record import read_incident_record
from reports.run import completion, renewal
from rollproof.errors import ExitCode
from rollproof.incident.ledger import runs
from rollproof.verdict import Verdict
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
    # It must not have ended when the other worker kills the run; that is seen by who is its parent then.
    run = os.getppid()
    while os.getppid() == run: time.sleep(0.05)
"""


def test_a_killed_run_leaves_an_honest_record(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(folder: Path, *_: object, **__: object) -> Path:
        return folder

    monkeypatch.setattr(renewal, "render", render)
    monkeypatch.setattr(completion, "draw_pictures", lambda *_: ())
    sandbox.checks(test_a=KILLED)

    killed = sandbox.run("--timeout=20")

    assert killed.code != ExitCode.VERIFIED
    assert killed.incident is not None
    assert not (killed.incident / "verdict.json").exists()
    verdict = renewal.renew(killed.incident, print)
    assert verdict.verdict is Verdict.BROKEN
    assert (verdict.phases["phase1"].checks.passed, verdict.phases["phase2"].checks.broken) == (1, 2)
    page = (killed.incident / "postmortem.md").read_text(encoding="utf-8")
    assert page.count("the check was planned and never reported") == 1
    results = [json.loads(p.read_text()) for p in (killed.incident / "allure-results").glob("*-result.json")]
    assert sorted(result["status"] for result in results) == ["broken", "broken", "passed"]
    # The limits of the profile are in the record of the run.
    phases = timeline_of(read_incident_record(killed.incident)).of(Kind.PHASE)
    (phase,) = [event for event in phases if event.text.startswith("Phase 1")]
    assert phase.deadline is not None
    (run,) = runs(killed.incident)
    facts = run.facts()
    assert facts is not None
    due = datetime.fromisoformat(facts.zero.wall) + timedelta(seconds=120)
    assert abs((phase.at + timedelta(seconds=phase.deadline) - due).total_seconds()) < 1
