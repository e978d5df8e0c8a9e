"""Order and gates of the phases: what `gate_of` decides is told by its own tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports.verdict.verdict import read_verdict
from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, load_incident, new_incident
from rollproof.incident.tally import tally
from rollproof.profile.profile import Windows
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.plugin_sandbox import Here

FOUR = {
    # Named so that neither the alphabet nor the command line gives the right order.
    "test_a": "@pytest.mark.phase4\ndef test_four(): pass",
    "test_b": "@pytest.mark.phase3\ndef test_three(): pass",
    "test_c": "@pytest.mark.phase2\ndef test_two(): pass",
    "test_d": "@pytest.mark.phase1\ndef test_one(): pass\n@pytest.mark.phase1\ndef test_uno(): pass",
}
PART = "a part of the checks on the command line"


def test_a_failed_phase_blocks_the_rest_with_the_first_cause(sandbox: Here) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_broken_disk(): assert False, 'disk is full'")
    outcome = sandbox.run("-rs")
    assert outcome.code == ExitCode.FAILED
    results = outcome.results()
    assert results["test_broken_disk"]["verdict"] == "failed"
    for name in ("test_two", "test_three", "test_four"):
        assert results[name]["verdict"] == "blocked"
        assert "test_broken_disk failed: disk is full" in results[name]["reason"]
    assert "test_broken_disk" in outcome.text
    # So it does in another run.
    outcome = sandbox.run("-m", "phase2")
    assert (outcome.code, outcome.verdicts()) == (ExitCode.BLOCKED, {"test_two": "blocked"})
    # Without a gate it holds nothing up, and verifies nothing.
    outcome = sandbox.run("--no-gate")
    assert sorted(outcome.verdicts().values()) == ["failed", *["passed"] * 5]


def test_phases_in_runs_of_their_own(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    for phase in ("phase1", "phase2", "phase3", "phase4"):
        outcome = sandbox.run("-m", phase)
        assert outcome.code == ExitCode.VERIFIED, phase
    assert outcome.incident is not None
    assert (outcome.incident / "closed.json").exists()
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 1
    # A verified incident is over: the next run is about a new one.
    sandbox.run("-m", "phase1", "--no-gate")
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 2
    blocked = sandbox.run("-m", "phase2")
    assert blocked.results()["test_two"]["reason"] == "phase1 ran without its gate"


def test_steps_run_in_order_before_phases(sandbox: Here) -> None:
    steps = {
        f"test_{'edcba'[number]}": f"@pytest.mark.step{number + 1}\ndef test_step(): note('step{number + 1}')"
        for number in range(5)
    }
    sandbox.checks(test_z="@pytest.mark.phase1\ndef test_one(): note('phase1')", **steps)
    sandbox.run()
    assert sandbox.notes() == ["step1", "step2", "step3", "step4", "step5", "phase1"]


@pytest.mark.parametrize(
    "order",
    [
        ["-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=1"],
        ["--ff"],
    ],
    ids=["randomly", "failed first"],
)
def test_nothing_else_changes_the_order(sandbox: Here, order: list[str]) -> None:
    failed = "@pytest.mark.phase3\ndef test_tres(): assert os.path.exists('mended')"
    sandbox.checks(**FOUR | ({"test_e": failed} if order[0].startswith("--") else {}))
    if order[0].startswith("--"):
        assert sandbox.run().code == ExitCode.FAILED
        (sandbox.folder / "mended").touch()
        sandbox.checks(test_f="@pytest.mark.phase4\ndef test_quatro(): pass")
    outcome = sandbox.run(*order)
    phases = [record["phase"] for record in outcome.results().values()]
    assert phases == sorted(phases)
    assert "failed" not in outcome.verdicts().values()


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["-k", "test_one or test_more"], "1 of its checks were deselected"),
        (["checks/test_d.py"], PART),
        (["checks/test_d.py::test_one"], "node ids on the command line"),
        (["--ignore", "checks/test_e.py"], "--ignore"),
        (["-o", "python_functions=test_one test_uno test_two"], "python_functions"),
    ],
)
def test_a_partial_selection_never_opens_a_gate(sandbox: Here, selection: list[str], words: str) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_more(): pass")
    outcome = sandbox.run("-m", "phase1", *selection)
    assert outcome.code == ExitCode.VERIFIED
    assert outcome.incident is not None
    partial = tally(load_incident(outcome.incident), Windows()).partial
    assert f"phase1 ran in part only ({words})" in partial
    blocked = sandbox.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    assert words in blocked.results()["test_two"]["reason"]


def test_an_error_is_broken_and_not_failed(sandbox: Here) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        "    raise Unverifiable(what='store', expected='an answer', observed='none', source='x', hint='y')",
        test_b="@pytest.mark.phase1\ndef test_uno(): 1 / 0",
        test_c="@pytest.mark.phase1\ndef test_skipped(): pytest.skip('not today')",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert set(outcome.verdicts().values()) == {"broken"}
    assert outcome.results()["test_one"]["reason"] == "store: expected an answer, observed none (from x)"
    assert outcome.results()["test_uno"]["reason"] == "ZeroDivisionError: division by zero"


def test_what_selects_or_runs_no_check_is_not_zero(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("-k", "no_such_check").code == ExitCode.NOTHING_SELECTED
    outcome = sandbox.run("-m", "phase1", "--setup-only")
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "the body of the check did not run"


@pytest.mark.parametrize("target", [False, True], ids=["no target", "typo"])
def test_a_target_that_is_none_is_a_usage_error(sandbox: Here, *, target: bool) -> None:
    path = write_profile(sandbox.folder)
    path.write_text(path.read_text(encoding="utf-8").replace("project =", "projekt ="), encoding="utf-8")
    sandbox.options = sandbox.options if target else []
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert (
        "engine.projekt: expected" if target else "target: expected the path of a profile"
    ) in outcome.text
    assert "HINT:" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_check_without_a_case_is_no_check(sandbox: Here) -> None:
    sandbox.plugins("fixtures.target", "fixtures.cases")
    sandbox.checks(test_e="@pytest.mark.phase1\ndef test_none(relation): assert False", **FOUR)
    assert sandbox.run("-m", "phase1").code == ExitCode.VERIFIED


def test_a_failed_rollback_is_never_verified(sandbox: Here) -> None:
    sandbox.checks(**FOUR)
    incident = new_incident(sandbox.folder / "incidents", "sandbox")
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.FAILED, 1.0, now, now))
    assert sandbox.run().code == ExitCode.FAILED
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now))
    (incident.folder / "unfinished.json").write_text("{}")
    assert sandbox.run().code == ExitCode.BROKEN
    assert not incident.closed


def test_what_is_verified_and_late_failed_for_that_alone(sandbox: Here) -> None:
    incident, now = new_incident(sandbox.folder / "incidents", "sandbox"), Moment.now()
    # It ended now, and took longer than the objective: the windows of the phases are all kept.
    began = replace(now, since_boot=now.since_boot - 700)
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 700.0, began, now))
    sandbox.recorded()
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert set(outcome.verdicts().values()) == {"passed"}
    (line,) = [line for line in outcome.text.splitlines() if line.startswith("  late ")]
    assert "downtime, from the beginning of the rollback to the verified end: expected at most 600 s" in line
    verdict = read_verdict(incident.folder)
    assert (verdict.verdict, verdict.verified) == ("failed", True)
    assert verdict.late
    # Nothing is left to do in that incident.
    assert incident.closed


@pytest.mark.parametrize("reported", [1, 2, 3])
def test_a_phase_of_which_a_part_reported_opens_no_gate(sandbox: Here, reported: int) -> None:
    """Interrupted in the next check, however many have passed."""
    sandbox.checks(
        test_a="@pytest.mark.phase1\n@pytest.mark.parametrize('n', range(4))\n"
        f"def test_one(n):\n    if n == {reported}: raise KeyboardInterrupt",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    assert sandbox.run("-m", "phase1").code == ExitCode.INTERRUPTED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    reason = outcome.results()["test_two"]["reason"]
    assert reason.startswith(f"phase1 is not complete: {reported} of 4 reported, not ")
