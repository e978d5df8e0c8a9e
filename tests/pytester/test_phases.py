"""Order, gates and windows of the phases, alone and under xdist."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest

from reports.verdict.verdict import read_verdict
from rollproof.errors import MOST_MISTAKES, ExitCode
from rollproof.incident.downtime import read_downtime
from rollproof.incident.incident import RollbackRecord, load_incident, new_incident
from rollproof.incident.kept_samples import read_kept
from rollproof.incident.tally import tally
from rollproof.monitoring.samples import SampleWriter, samples_path
from rollproof.profile.profile import Windows, load_target
from rollproof.record_names import DOWNTIME
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.pytester.conftest import (
    ALONE_AND_AT_LENGTH_WITH_WORKERS,
    ALONE_AND_WITH_WORKERS,
    UNRENDERED,
    Sandbox,
)
from tests.running.cut import VARIANT
from tests.unit.made_samples import samples

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
    assert outcome.incident is not None
    assert (outcome.incident / "closed.json").exists()


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


def test_workers_share_one_phase_and_no_more(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run("-n2")
    assert outcome.code == ExitCode.USAGE
    assert "-n: expected one phase, whose checks workers share, observed phase1, phase2" in outcome.text
    assert "HINT: leave -n out" in outcome.text
    assert outcome.incident is None
    assert sandbox.run("-n2", "-m", "phase1").code == ExitCode.VERIFIED


def test_a_failed_phase_blocks_the_next_process(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase1\ndef test_broken_disk(): assert False")
    assert sandbox.run("-m", "phase1").code == ExitCode.FAILED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    assert outcome.verdicts() == {"test_two": "blocked"}
    assert "test_broken_disk" in outcome.results()["test_two"]["reason"]


@ALONE_AND_AT_LENGTH_WITH_WORKERS
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
    assert outcome.results()["test_three"]["reason"] == (
        "phase2 has not run in this span of the incident's verification"
    )


def test_running_a_phase_again_takes_back_what_came_after(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    sandbox.run("-m", "phase1")
    sandbox.run("-m", "phase2")
    sandbox.run("-m", "phase1")
    outcome = sandbox.run("-m", "phase3")
    assert outcome.code == ExitCode.BLOCKED
    assert "phase2 must run again" in outcome.results()["test_three"]["reason"]


def test_steps_run_in_order_before_phases(sandbox: Sandbox) -> None:
    steps = {
        f"test_{'edcba'[number]}": f"@pytest.mark.step{number + 1}\ndef test_step(): note('step{number + 1}')"
        for number in range(5)
    }
    steps["test_e"] = steps["test_e"].replace("note(", "time.sleep(0.5); note(")
    sandbox.checks(test_z="@pytest.mark.phase1\ndef test_one(): note('phase1')", **steps)
    sandbox.run()
    assert sandbox.notes() == ["step1", "step2", "step3", "step4", "step5", "phase1"]


@pytest.mark.parametrize(
    "order",
    [
        ["-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=1"],
        pytest.param(["-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=2"], marks=VARIANT),
        ["checks/test_a.py", "checks/test_b.py", "checks/test_c.py", "checks/test_d.py"],
    ],
    ids=["randomly", "randomly again", "command line"],
)
def test_nothing_else_changes_the_order(sandbox: Sandbox, order: list[str]) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run(*order)
    phases = [record["phase"] for record in outcome.results().values()]
    assert phases == sorted(phases)
    assert len(phases) == 5


@pytest.mark.parametrize("option", ["--ff", "--nf"])
def test_what_pytest_would_run_first_is_not_run_first(sandbox: Sandbox, option: str) -> None:
    sandbox.checks(**FOUR, test_e="@pytest.mark.phase3\ndef test_tres(): assert os.path.exists('mended')")
    assert sandbox.run().code == ExitCode.FAILED
    (sandbox.pytester.path / "mended").touch()
    sandbox.checks(test_f="@pytest.mark.phase4\ndef test_quatro(): pass")
    outcome = sandbox.run(option)
    assert outcome.code == ExitCode.VERIFIED
    phases = [record["phase"] for record in outcome.results().values()]
    assert phases == sorted(phases)


@ALONE_AND_AT_LENGTH_WITH_WORKERS
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


@ALONE_AND_WITH_WORKERS
@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["--deselect", "checks/test_d.py::test_uno"], "1 of its checks were deselected"),
        (["checks/test_d.py"], "a part of the checks on the command line"),
        pytest.param(
            ["checks/test_a.py", "checks/test_d.py"],
            "a part of the checks on the command line",
            marks=VARIANT,
        ),
        (["--ignore", "checks/test_e.py"], "--ignore"),
        (["--ignore-glob", "*_e.py"], "--ignore-glob"),
    ],
)
def test_the_verdict_says_what_is_partial(sandbox: Sandbox, selection: list[str], words: str) -> None:
    more = "@pytest.mark.phase1\ndef test_more(): pass"
    sandbox.checks(**FOUR, test_e=more)
    outcome = sandbox.run("-m", "phase1", *selection)
    assert outcome.code == ExitCode.VERIFIED
    assert outcome.incident is not None
    verdict = tally(load_incident(outcome.incident), Windows())
    assert f"phase1 ran in part only ({words})" in verdict.partial
    assert sandbox.run("-m", "phase2").code == ExitCode.BLOCKED


def test_a_module_that_is_not_collected_is_no_verification(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR, test_e="import no_such_module")
    assert sandbox.run().code in {ExitCode.INTERRUPTED, ExitCode.BROKEN}
    outcome = sandbox.run("--continue-on-collection-errors")
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert outcome.incident is not None
    assert not (outcome.incident / "closed.json").exists()
    assert (
        "phase1 ran in part only (not collected: checks/test_e.py)" in outcome.results()["test_two"]["reason"]
    )


def test_no_gate_runs_on_and_is_not_a_verification(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    for phase in ("phase4", "phase1", "phase2", "phase3"):
        assert sandbox.run("-m", phase, "--no-gate").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase4", "--no-gate")
    assert outcome.incident is not None
    assert not (outcome.incident / "closed.json").exists()


@pytest.mark.parametrize("options", [["--no-gate"], ["-m", "phase1"]], ids=["no gate", "one phase"])
def test_what_is_printed_last_agrees_with_the_exit_code(sandbox: Sandbox, options: list[str]) -> None:
    sandbox.plugins(then=("reports.run.scrubbing", "reports.run.record"))
    sandbox.settings(UNRENDERED)
    sandbox.checks(**FOUR)
    outcome = sandbox.run(*options)
    assert outcome.code == ExitCode.VERIFIED
    assert outcome.text.splitlines()[-1].startswith("PASSED: ")
    assert "BROKEN" not in outcome.text
    assert outcome.incident is not None
    verdict = json.loads((outcome.incident / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] == "broken"
    assert f"the record so far is {verdict['verdict']}" in outcome.text.splitlines()[-1]


CANARY = """
@pytest.fixture(scope="module")
def traces():
    note("left")
    yield
    time.sleep(0.3)
    note("swept")
@pytest.mark.phase3
@pytest.mark.parametrize("number", range(4))
def test_acts(traces, number): time.sleep(0.05 if number else 0.8)
"""
COUNTS = """
@pytest.mark.phase4
@pytest.mark.parametrize("number", range(4))
def test_counts(number): note("count")
"""


def test_without_a_gate_too_phase_4_sees_nothing_of_what_phase_3_leaves(sandbox: Sandbox) -> None:
    sandbox.checks(test_c=CANARY, test_d=COUNTS)
    assert sandbox.run("--no-gate").code == ExitCode.VERIFIED
    notes = sandbox.notes()
    assert notes.count("left") == notes.count("swept") > 0
    assert notes[-4:] == ["count"] * 4


def test_without_a_gate_a_failed_phase_holds_nothing_up(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR | {"test_1": "@pytest.mark.phase1\ndef test_fails(): assert False"})
    assert sorted(sandbox.run("--no-gate").verdicts().values()) == ["failed", *["passed"] * 5]


@ALONE_AND_AT_LENGTH_WITH_WORKERS
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


@ALONE_AND_WITH_WORKERS
def test_nothing_selected_is_not_zero(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    assert sandbox.run("-k", "no_such_check").code == ExitCode.NOTHING_SELECTED


@ALONE_AND_AT_LENGTH_WITH_WORKERS
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


def test_of_many_mistakes_in_the_profile_the_first_are_told(sandbox: Sandbox) -> None:
    path = write_profile(sandbox.pytester.path)
    more = "".join(f'"unknown{number}\\u001b[2J" = 1\n' for number in range(500))
    path.write_text(more + path.read_text(encoding="utf-8"), encoding="utf-8")
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "490 more" in outcome.text
    assert outcome.text.count("the unknown key") == MOST_MISTAKES


def test_a_check_whose_body_did_not_run_is_broken(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    outcome = sandbox.run("-m", "phase1", "--setup-only")
    assert outcome.code == ExitCode.BROKEN
    assert outcome.results()["test_one"]["reason"] == "the body of the check did not run"


def test_a_check_without_a_case_is_no_check(sandbox: Sandbox) -> None:
    sandbox.plugins("fixtures.target", "fixtures.cases")
    sandbox.checks(test_e="@pytest.mark.phase1\ndef test_none(relation): assert False", **FOUR)
    assert sandbox.run("-m", "phase1").code == ExitCode.VERIFIED


def test_a_failed_rollback_is_never_verified(sandbox: Sandbox) -> None:
    sandbox.checks(**FOUR)
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.FAILED, 1.0, now, now))
    assert sandbox.run().code == ExitCode.FAILED
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now))
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


def test_a_run_keeps_the_samples_that_the_monitor_wrote_meanwhile(sandbox: Sandbox) -> None:
    target = load_target(write_profile(sandbox.pytester.path))
    path, aside = samples_path(target), sandbox.pytester.path / "aside"
    for place, sample in zip((path, aside), samples(2, lambda _: {}, target=target.name), strict=True):
        with closing(SampleWriter(place)) as writer:
            writer.write(sample)
    sandbox.checks(
        test_a=f"@pytest.mark.phase1\ndef test_one():\n"
        f"    with open({str(path)!r}, 'a') as monitored: monitored.write(open({str(aside)!r}).read())"
    )
    outcome = sandbox.run()
    assert outcome.incident is not None
    assert [sample.beat for sample in read_kept(outcome.incident)] == [0, 1]


def test_a_verified_rollback_has_its_downtime_in_the_verdict(sandbox: Sandbox) -> None:
    target = load_target(write_profile(sandbox.pytester.path))
    incident = new_incident(target.folders.incidents, target.name)
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now))
    sandbox.checks(**FOUR)
    assert sandbox.run().code == ExitCode.VERIFIED
    downtime = read_downtime(incident)
    assert downtime is not None
    assert (downtime.since, downtime.objective) == (now, 600.0)
    assert str(downtime) in tally(incident, Windows()).notes


def test_what_is_verified_and_late_failed_for_that_alone(sandbox: Sandbox) -> None:
    target = load_target(write_profile(sandbox.pytester.path))
    incident = new_incident(target.folders.incidents, target.name)
    now = Moment.now()
    # It ended now, and took longer than the objective: the windows of the phases are all kept.
    began = replace(now, since_boot=now.since_boot - 700)
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 700.0, began, now))
    sandbox.recorded()
    sandbox.checks(**FOUR)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert (
        "FAILED: every check of all four phases ran and passed, but the target was down for" in outcome.text
    )
    assert "  late    downtime, from the beginning of the rollback to the verified end: " in outcome.text
    results = [json.loads(p.read_text()) for p in incident.folder.glob("allure-results/*-result.json")]
    (red,) = [result for result in results if result["status"] == "failed"]
    assert red["name"] == "Downtime is within the objective"
    assert red["statusDetails"]["message"].startswith("downtime, from the beginning of the rollback ")
    assert ("means", "late") in [(label["name"], label["value"]) for label in red["labels"]]
    assert len(results) == len(outcome.verdicts()) + 1
    assert read_verdict(incident.folder).late
    assert set(outcome.verdicts().values()) == {"passed"}
    found = tally(incident, Windows())
    assert (found.verdict, {phase.verdict for phase in found.phases.values()}) == ("failed", {"passed"})
    assert found.late is not None
    assert found.late.startswith(
        "downtime, from the beginning of the rollback to the verified end: expected at most 600 s"
    )
    assert found.verified
    # Nothing is left to do in that incident, and to verify it again makes it no shorter.
    assert incident.closed
    assert sandbox.run(f"--incident={incident.id}").code == ExitCode.FAILED
    assert tally(incident, Windows()).late == found.late
    # A record that was changed makes it none that passed, whatever a run verifies after that.
    (incident.folder / DOWNTIME).write_text("{")
    assert tally(incident, Windows()).verdict == "broken"
    assert sandbox.run(f"--incident={incident.id}").code == ExitCode.BROKEN


def test_the_monitor_s_samples_are_read_once_a_run(sandbox: Sandbox) -> None:
    target = load_target(write_profile(sandbox.pytester.path))
    with closing(SampleWriter(samples_path(target))) as writer:
        writer.write(*samples(1, lambda _: {}, target=target.name))
    sandbox.plugins("fixtures.target", "fixtures.premigration")
    sandbox.checks(
        test_a="seen = []\n@pytest.mark.phase1\n"
        "def test_one(samples, assessment, samples_file):\n"
        "    seen.append(assessment)\n    samples_file.unlink()\n"
        "@pytest.mark.phase1\n"
        "def test_two(samples, assessment): assert len(samples) == 1 and assessment is seen[0]"
    )
    outcome = sandbox.run("-n0")
    assert outcome.verdicts() == {"test_one": "passed", "test_two": "passed"}, outcome.text
