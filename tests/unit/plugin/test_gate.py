"""The gate before a migration: its record, its page, its waivers, alone and with workers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.profile.profile import load_target
from tests.plugin_sandbox import Here
from tests.run_outcome import Outcome
from tests.world.git import git

STEPS = {
    f"test_step{number}": f"""
@pytest.mark.premigration
@pytest.mark.step{number}
def test_item_{number}(migration, note): note(f"seen {{migration[:4]}}")
"""
    for number in range(1, 6)
}
RED = """
from rollproof.errors import Meaning, Mismatch, Unverifiable
WRONG = {"what": "state", "expected": "saved | kept", "observed": "none", "source": "there", "hint": "save"}
@pytest.fixture
def unreachable():
    raise Unverifiable(what="host", expected="an answer", observed="none", source="here", hint="wait")
@pytest.mark.premigration
@pytest.mark.step2
def test_wrong():
    raise Mismatch(**WRONG, means=Meaning.DATA_CHANGED)
@pytest.mark.premigration
@pytest.mark.step2
@pytest.mark.parametrize("part", ["redis", "kafka"])
def test_unknown(unreachable, part): raise AssertionError("its body must not run")
"""


@pytest.fixture
def gate(sandbox: Here) -> Here:
    """A sandbox with all plugins of the gate, and a repository with a commit to promote."""
    path = sandbox.folder
    sandbox.recorded("fixtures.gating.evidence", then=("fixtures.gating.failing", "fixtures.target"))
    repository = path / "application"
    repository.mkdir(exist_ok=True)
    git(repository, "init", "--quiet")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "one")
    sandbox.checks(**STEPS)
    return sandbox


def commit_of(gate: Here) -> str:
    return git(gate.folder / "application", "rev-parse", "HEAD")


def run(gate: Here, *options: str) -> Outcome:
    return gate.run("-m", "premigration", f"--migration={commit_of(gate)}", *options)


def page_of(outcome: Outcome) -> str:
    assert outcome.incident is not None
    return (outcome.incident / "gate.md").read_text(encoding="utf-8")


def verdict_of(outcome: Outcome) -> str:
    assert outcome.incident is not None
    return str(json.loads((outcome.incident / "verdict.json").read_text())["verdict"])


def waive(gate: Here, item: str, days: int = 1) -> None:
    expires = datetime.now(UTC).date() + timedelta(days=days)
    with (gate.folder / "profile.toml").open("a", encoding="utf-8") as profile:
        profile.write(
            f'\n[[premigration.waivers]]\nitem = "{item}"\nname = "Ada"\nreason = "known | old"\n'
            f"expires = {expires}\n"
        )


def test_all_items_hold(gate: Here) -> None:
    outcome = run(gate)
    assert outcome.code == ExitCode.VERIFIED, outcome.text
    assert verdict_of(outcome) == "passed"
    page = page_of(outcome)
    assert page.startswith("# ✅ Promote\n")
    assert f"Migration {commit_of(gate)} of" in page
    assert "5 of 5 items hold" in page
    assert f"| ✅ | item 1 | seen {commit_of(gate)[:4]} |" in page
    assert outcome.incident is not None
    assert outcome.incident.name == f"change-sandbox-{commit_of(gate)[:12]}"


def test_each_item_that_does_not_hold_is_on_the_page(gate: Here) -> None:
    gate.checks(test_red=RED)
    outcome = run(gate)
    assert outcome.code == ExitCode.FAILED
    assert verdict_of(outcome) == "failed"
    page = page_of(outcome)
    assert page.startswith("# ❌ Do not promote\n")
    assert "5 of 8 items hold" in page
    assert "| ❌ | wrong | state: expected saved \\| kept, observed none (from there) |" in page
    assert "| ⚠️ | unknown: redis | host: expected an answer, observed none (from here) |" in page
    assert outcome.results()["test_wrong"]["means"] == "data-changed"
    assert "means" not in outcome.results()["test_unknown[redis]"]


def test_a_waiver_lets_an_item_pass_and_shows(gate: Here) -> None:
    gate.checks(test_red=RED)
    waive(gate, "test_wrong")
    waive(gate, "test_unknown[redis]")
    waive(gate, "test_unknow?[[]kafka]")
    waive(gate, "test_wron?")
    outcome = run(gate)
    assert outcome.code == ExitCode.VERIFIED, outcome.text
    page = page_of(outcome)
    assert "| 🏳️ | wrong | waived by Ada until " in page
    assert "state: expected saved" in page
    assert page.count("| 🏳️ |") == 3
    assert "5 of 8 items hold, 3 waived" in page
    assert "| Ada | known \\| old |" in page


def test_an_expired_waiver_changes_nothing(gate: Here) -> None:
    gate.checks(test_red=RED)
    waive(gate, "test_*", days=-1)
    outcome = run(gate)
    assert outcome.code == ExitCode.FAILED
    assert "| expired |" in page_of(outcome)
    # One of another name, or of one of two red items, changes nothing either.
    waive(gate, "test_wrnog")
    waive(gate, "test_wrong")
    outcome = run(gate)
    assert outcome.code == ExitCode.BROKEN
    assert "| covers no item |" in page_of(outcome)
    assert "5 of 8 items hold, 1 waived" in page_of(outcome)


def test_a_part_of_the_gate_promotes_nothing(gate: Here) -> None:
    outcome = gate.run("-m", "step1", f"--migration={commit_of(gate)}")
    assert outcome.code == ExitCode.VERIFIED
    assert verdict_of(outcome) == "broken"
    assert "# ⚠️ Do not promote yet\n" in page_of(outcome)
    assert "1 of 1 items hold, of those that ran" in page_of(outcome)
    assert "step2 has not run" in page_of(outcome)
    assert "PASSED: every check of this run ran and passed; step2 has not run; " in outcome.text


def test_what_held_in_an_earlier_run_does_not_count(gate: Here) -> None:
    assert verdict_of(run(gate)) == "passed"
    assert verdict_of(gate.run("-m", "step5", f"--migration={commit_of(gate)}")) == "broken"


def test_a_restore_has_longer_than_a_verification(gate: Here) -> None:
    """What ends a hung verification, process and all, leaves the trial of a backup alone."""
    with (gate.folder / "profile.toml").open("a", encoding="utf-8") as profile:
        profile.write("\n[windows]\nverification = 0.1\n")
    restore = load_target(gate.folder / "profile.toml").premigration.scratch.whole_seconds
    outcome = run(gate)
    assert outcome.code == ExitCode.VERIFIED, outcome.text
    assert min(left for left in gate.hard_timer if left is not None) > restore / 2
    assert gate.hard_timer[-1] is None


def test_the_gate_asks_for_a_migration(gate: Here) -> None:
    outcome = gate.run("-m", "premigration")
    assert outcome.code == ExitCode.USAGE
    assert "--migration" in outcome.text
    assert "Traceback" not in outcome.text


def test_phases_do_not_go_on_in_the_record_of_a_change(gate: Here) -> None:
    change = run(gate, "-k", "item_1").incident
    gate.checks(test_p1="@pytest.mark.phase1\ndef test_one(): pass")
    gate.run("-m", "phase1")
    incidents: Path = gate.folder / "incidents"
    assert change is not None
    assert len(list((change / "ledger").iterdir())) == 1
    assert len(list(incidents.glob("*/ledger"))) == 2
