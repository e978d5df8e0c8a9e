"""A run of checks seals its record, alone and with workers; what was edited since opens no gate."""

from __future__ import annotations

import json

import pytest

from rollproof.errors import ExitCode
from rollproof.profile.profile import load_target
from rollproof.record_names import SEAL, SIGNATURE
from rollproof.sealing.seal import seal_state
from tests.pytester.conftest import Sandbox

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
SIGNING = """
[signing]
key = "key"
allowed_signers = "signers"
"""


@pytest.fixture
def project(sandbox: Sandbox) -> Sandbox:
    """A sandbox with all plugins of the record, and a phase 4 that fails unless the target is up."""
    sandbox.recorded("fixtures.gating.evidence", then=("fixtures.target",))
    sandbox.checks(test_a=PHASES)
    return sandbox


def test_a_run_seals_its_record_and_no_gate_opens_on_an_edited_one(project: Sandbox) -> None:
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


def test_a_run_signs_its_record(project: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.pytester.path
    project.pytester.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
    (path / "signers").write_text(f"ada@example.org {(path / 'key.pub').read_text()}")
    with (path / "profile.toml").open("a") as profile:
        profile.write(SIGNING)
    monkeypatch.setenv("UP", "yes")

    signed = project.run()
    assert signed.code == ExitCode.VERIFIED, signed.text
    assert signed.incident is not None
    found = seal_state(signed.incident, load_target(path / "profile.toml").signing)
    assert found.signature.startswith("signed by ada@example.org with the key SHA256:")
    assert "  signed with the key SHA256:" in signed.text
    page = (signed.incident / "postmortem.md").read_text()
    assert "not signed" not in signed.text + page

    before = (signed.incident / SIGNATURE).read_text()
    (path / "key").rename(path / "gone")
    unsigned = project.run(f"--incident={signed.incident.name}")
    assert unsigned.code == ExitCode.BROKEN
    assert "signature of the record: expected one by ssh-keygen" in unsigned.text
    # What the key does not sign is not added to what it signed.
    assert (signed.incident / SIGNATURE).read_text() == before
    left = seal_state(signed.incident, load_target(path / "profile.toml").signing)
    assert "ledger/0002/run.json" in left.unsealed
    assert "ledger/0002/run.json" not in (signed.incident / SEAL).read_text()
    assert json.loads((signed.incident / "verdict.json").read_text())["signature"] == "unsigned"
