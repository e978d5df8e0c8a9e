"""A run of checks seals its record; what was edited since opens no gate."""

from __future__ import annotations

import json

import pytest

from rollproof.errors import ExitCode
from rollproof.record_names import SEAL
from rollproof.sealing.seal import seal_state
from tests.plugin_sandbox import Here

PHASES = """
@pytest.mark.phase1
def test_one(): pass
@pytest.mark.phase2
def test_two(): pass
@pytest.mark.phase3
def test_three(): pass
@pytest.mark.phase4
@pytest.mark.skipif(not os.environ.get("UP"), reason="it is down")
def test_four(): pass
"""


@pytest.fixture
def project(sandbox: Here) -> Here:
    """A sandbox with all plugins of the record, and a phase 4 that fails unless the target is up."""
    sandbox.recorded("fixtures.gating.evidence", then=("fixtures.target",))
    sandbox.checks(test_a=PHASES)
    return sandbox


def test_a_run_seals_its_record_and_no_gate_opens_on_an_edited_one(project: Here) -> None:
    first = project.run("-m", "phase1 or phase2 or phase3 or phase4")
    assert first.incident is not None
    found = seal_state(first.incident)
    seal = json.loads((first.incident / SEAL).read_text())

    assert (found.doubts, found.unsealed, found.signature) == ([], (), "unsigned")
    assert "\n  unsigned\n" in first.text
    names = {name.partition("/")[0] for name in seal["files"]}
    assert names >= {"ledger", "allure-results", "verdict.json", "postmortem.md", "incident.json"}
    assert json.loads((first.incident / "verdict.json").read_text())["signature"] == "unsigned"

    ledger = first.incident / "ledger/0001/results.jsonl"
    assert first.verdicts()["test_four"] == "broken"
    ledger.write_text(ledger.read_text().replace('"verdict": "broken"', '"verdict": "passed"'))
    second = project.run("-m", "phase4")
    assert second.code == ExitCode.BLOCKED
    assert "the record does not hold: ledger/0001/results.jsonl: it is not what was sealed" in second.text
    # The next seal does not cover it up.
    assert list(seal_state(first.incident).wrong) == ["ledger/0001/results.jsonl"]
    whole = project.run("-m", "phase1 or phase2 or phase3 or phase4")
    assert whole.code == ExitCode.BROKEN
    assert json.loads((first.incident / "verdict.json").read_text())["verdict"] == "broken"
