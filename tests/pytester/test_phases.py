"""Order, gates and windows of the phases, alone and under xdist."""

from __future__ import annotations

from fixtures.clock import Moment
from fixtures.errors import ExitCode
from fixtures.incident import RollbackRecord, new_incident
from tests.conftest import write_profile
from tests.pytester.conftest import Sandbox

FOUR = {
    # Named so that neither the alphabet nor the command line gives the right order.
    "test_a": "@pytest.mark.phase4\ndef test_four(): pass",
    "test_b": "@pytest.mark.phase3\ndef test_three(): pass",
    "test_c": "@pytest.mark.phase2\ndef test_two(): pass",
    "test_d": "@pytest.mark.phase1\ndef test_one(): time.sleep(0.3)\n"
    "@pytest.mark.phase1\ndef test_uno(): pass",
}


def test_phases_run_in_order_and_all_passed_is_zero(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.VERIFIED
    assert [record["phase"] for record in outcome.results().values()] == [
        "phase1",
        "phase1",
        "phase2",
        "phase3",
        "phase4",
    ]
    assert set(outcome.verdicts().values()) == {"passed"}


def test_a_phase_waits_for_every_check_of_the_one_before(sandbox: Sandbox) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase2\ndef test_two(): assert os.path.exists('one-is-done')",
        test_b="@pytest.mark.phase1\ndef test_one():\n"
        "    time.sleep(0.5)\n    open('one-is-done', 'w').close()",
    )
    assert sandbox.run().code == ExitCode.VERIFIED


def test_a_failed_phase_blocks_the_rest_with_the_first_cause(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_broken_disk(): assert False, 'disk is full'")
    outcome = sandbox.run("-rs")
    assert outcome.code == ExitCode.FAILED
    verdicts = outcome.verdicts()
    assert verdicts["test_broken_disk"] == "failed"
    assert {verdicts[name] for name in ("test_two", "test_three", "test_four")} == {"blocked"}
    for name in ("test_two", "test_three", "test_four"):
        reason = outcome.results()[name]["reason"]
        assert "phase1 did not pass" in reason
        assert "test_broken_disk" in reason
        assert "disk is full" in reason
    assert "test_broken_disk" in outcome.text


def test_a_failed_phase_blocks_the_next_process(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_broken_disk(): assert False")
    assert sandbox.run("-m", "phase1").code == ExitCode.FAILED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    assert outcome.verdicts() == {"test_two": "blocked"}
    assert "test_broken_disk" in outcome.results()["test_two"]["reason"]


def test_phases_in_processes_of_their_own(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    for phase in ("phase1", "phase2", "phase3", "phase4"):
        outcome = sandbox.run("-m", phase)
        assert outcome.code == ExitCode.VERIFIED, phase
    assert outcome.incident is not None
    assert (outcome.incident / "closed.json").exists()
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 1
    # A verified incident is over: the next run is about a new one.
    sandbox.run("-m", "phase1")
    assert len(list(outcome.incident.parent.glob("*/incident.json"))) == 2


def test_a_phase_that_never_ran_blocks_the_next(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run("-m", "phase3")
    assert outcome.code == ExitCode.BLOCKED
    assert outcome.results()["test_three"]["reason"] == "phase2 has not run in this incident"


def test_running_a_phase_again_takes_back_what_came_after(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    sandbox.run("-m", "phase1")
    sandbox.run("-m", "phase2")
    sandbox.run("-m", "phase1")
    outcome = sandbox.run("-m", "phase3")
    assert outcome.code == ExitCode.BLOCKED
    assert "phase2 must run again" in outcome.results()["test_three"]["reason"]


def test_a_partial_selection_never_opens_a_gate(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("-m", "phase1", "-k", "test_one").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    assert "in part only (1 of its checks were deselected)" in outcome.results()["test_two"]["reason"]


def test_a_node_id_is_a_partial_selection(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("checks/test_d.py::test_one").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase2")
    assert "node ids" in outcome.results()["test_two"]["reason"]


def test_no_gate_runs_on_and_is_not_a_verification(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    for phase in ("phase4", "phase1", "phase2", "phase3"):
        assert sandbox.run("-m", phase, "--no-gate").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase4", "--no-gate")
    assert outcome.incident is not None
    assert not (outcome.incident / "closed.json").exists()


def test_an_error_is_broken_and_not_failed(sandbox: Sandbox) -> None:
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        "    raise Unverifiable(what='store', expected='an answer', observed='none', source='x', hint='y')",
        test_b="@pytest.mark.phase1\ndef test_uno(): 1 / 0",
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "store: expected an answer, observed none (from x)"
    assert outcome.results()["test_uno"]["reason"] == "ZeroDivisionError: division by zero"


def test_a_skipped_check_is_broken(sandbox: Sandbox) -> None:
    sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): pytest.skip('not today')")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert outcome.verdicts() == {"test_one": "broken"}


def test_nothing_selected_is_not_zero(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("-k", "no_such_check").code == ExitCode.NOTHING_SELECTED


def test_a_hung_check_is_late_at_the_end_of_its_window(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 6}\n")
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one(): time.sleep(60)",
        test_b="@pytest.mark.phase2\ndef test_two(): pass",
    )
    outcome = sandbox.run("--tb=short")
    assert outcome.code == ExitCode.FAILED
    reason = outcome.results()["test_one"]["reason"]
    assert reason.startswith("late: phase1: expected done within 6 s, observed still running after")
    assert "time.sleep(60)" in outcome.text
    assert outcome.verdicts()["test_two"] == "blocked"


def test_a_check_that_starts_after_its_window_is_late(sandbox: Sandbox) -> None:
    write_profile(sandbox.pytester.path, "[windows]\nphase1 = {start = 0, end = 0.01}\n")
    sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): pass")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert "late: phase1" in outcome.results()["test_one"]["reason"]


def test_no_target_is_a_usage_error(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    sandbox.options = []
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "target: expected the path of a profile" in outcome.text
    assert "HINT:" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_typo_in_the_profile_is_a_usage_error(sandbox: Sandbox) -> None:
    path = write_profile(sandbox.pytester.path)
    path.write_text(path.read_text(encoding="utf-8").replace("project =", "projekt ="), encoding="utf-8")
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "engine.projekt: expected one of" in outcome.text
    assert "did you mean project?" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_worker_that_dies_makes_its_check_broken_once(sandbox: Sandbox) -> None:
    if not sandbox.parallel:
        # Without workers the process that dies is pytest itself; the next process must find no gate open.
        sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): os._exit(9)", test_c=FOUR["test_c"])
        assert sandbox.run("-m", "phase1").code != ExitCode.VERIFIED
        outcome = sandbox.run("-m", "phase2")
        assert outcome.code == ExitCode.BLOCKED
        assert "phase1 is not complete: 0 of 1" in outcome.results()["test_two"]["reason"]
        return
    sandbox.checks(
        test_a="@pytest.mark.phase1\ndef test_one():\n"
        "    open('runs', 'a').write('x')\n    os.kill(os.getpid(), 9)",
        test_c=FOUR["test_c"],
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "the worker that ran it died"
    assert (sandbox.pytester.path / "runs").read_text() == "x"


def test_a_check_whose_body_did_not_run_is_broken(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run("-m", "phase1", "--setup-only")
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "the body of the check did not run"


def test_an_empty_list_of_cases_is_no_check(sandbox: Sandbox) -> None:
    sandbox.checks(
        test_e="@pytest.mark.phase1\n@pytest.mark.parametrize('vectors', [])\ndef test_none(vectors): pass",
        **FOUR,
    )
    assert sandbox.run("-m", "phase1").code == ExitCode.VERIFIED


def test_a_failed_rollback_is_never_verified(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, "failed", 1.0, now, now))
    assert sandbox.run().code == ExitCode.FAILED
    incident.write_rollback(RollbackRecord("c" * 40, "passed", 1.0, now, now))
    (incident.folder / "unfinished.json").write_text("{}")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert not incident.closed


def test_a_damaged_incident_is_a_usage_error(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    (incident.folder / "rollback.json").write_text("{")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "record of the incident: expected files that can be read" in outcome.text
    assert "Traceback" not in outcome.text
