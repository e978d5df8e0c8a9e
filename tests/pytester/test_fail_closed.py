"""Ways to be green without every check having run and passed: none of them is."""

from __future__ import annotations

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from tests.pytester.conftest import (
    ALONE_AND_WITH_WORKERS,
    Outcome,
    Sandbox,
)
from tests.running.cut import VARIANT

ONE_A_PHASE = {
    f"test_{number}": f"@pytest.mark.phase{number}\ndef test_p{number}(): note('p{number}')"
    for number in range(1, 5)
}


def never_verified(outcome: Outcome) -> None:
    assert outcome.code != ExitCode.VERIFIED, outcome.text
    assert "INTERNALERROR" not in outcome.text
    assert "Traceback" not in outcome.text
    if outcome.incident is not None:
        assert not (outcome.incident / "closed.json").exists()


@pytest.mark.parametrize(
    "skip",
    [
        "pytest.importorskip('no_such_module')",
        pytest.param("pytest.skip('not here', allow_module_level=True)", marks=VARIANT),
    ],
)
def test_a_module_that_is_skipped_has_checks_that_did_not_run(sandbox: Sandbox, skip: str) -> None:
    sandbox.checks(**ONE_A_PHASE, test_0=f"{skip}\n@pytest.mark.phase1\ndef test_p0(): pass")
    outcome = sandbox.run()
    never_verified(outcome)
    assert (
        "phase1 ran in part only (not collected: checks/test_0.py)" in outcome.results()["test_p2"]["reason"]
    )


def test_a_phase_without_its_gate_opens_none(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    assert sandbox.run("-m", "phase1", "--no-gate").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase2")
    assert outcome.code == ExitCode.BLOCKED
    assert outcome.results()["test_p2"]["reason"] == "phase1 ran without its gate"


def test_a_phase_that_this_run_does_again_counts_as_this_run_says(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    assert sandbox.run("-m", "phase1 or phase2").code == ExitCode.VERIFIED
    outcome = sandbox.run("-m", "phase1 or phase3")
    assert outcome.verdicts()["test_p3"] == "blocked"
    assert "phase2 must run again" in outcome.results()["test_p3"]["reason"]


@pytest.mark.parametrize("mark", ["@pytest.mark.step1\n", ""], ids=["step", "no stage"])
def test_a_check_of_no_phase_that_is_skipped_is_not_zero(sandbox: Sandbox, mark: str) -> None:
    sandbox.checks(test_a=f"{mark}def test_one(): pytest.skip('not today')")
    never_verified(sandbox.run())


def test_a_step_that_fails_keeps_the_incident_open(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE, test_0="@pytest.mark.step1\ndef test_s1(): assert False")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    never_verified(outcome)


def test_a_verified_incident_that_fails_later_is_open_again(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    first = sandbox.run("--incident=one")
    assert first.incident is not None
    assert (first.incident / "closed.json").exists()
    sandbox.checks(test_4="@pytest.mark.phase4\ndef test_p4(): assert False")
    never_verified(sandbox.run("--incident=one"))


def test_a_run_whose_record_holds_a_secret_closes_nothing(sandbox: Sandbox) -> None:
    key = "-----BEGIN PRIVATE KEY-----\\n" + "MIIE" * 16 + "\\n-----END PRIVATE KEY-----\\n"
    body = f"next(pathlib.Path('incidents').glob('*')).joinpath('left.txt').write_text('{key}')"
    sandbox.recorded()
    sandbox.checks(**ONE_A_PHASE)
    sandbox.checks(test_4=f"import pathlib\n@pytest.mark.phase4\ndef test_p4(): {body}")
    outcome = sandbox.run()
    assert "secret in the record: expected none, observed one" in outcome.text
    assert outcome.code == ExitCode.FAILED
    never_verified(outcome)


@pytest.mark.parametrize("distribution", ["each", "loadscope"])
def test_however_checks_are_distributed_none_runs_twice(sandbox: Sandbox, distribution: str) -> None:
    sandbox.checks(**ONE_A_PHASE)
    options = ["-m", "phase1", "--tx", "2*popen", "--dist", distribution]
    assert sandbox.run(*options).code == ExitCode.VERIFIED
    assert sandbox.notes() == ["p1"]


@pytest.mark.parametrize(
    "setting", ["python_functions=test_p1 test_p2 test_p3", "python_files=test_[1-3].py"]
)
def test_settings_that_take_checks_away_close_no_incident(sandbox: Sandbox, setting: str) -> None:
    sandbox.checks(**ONE_A_PHASE)
    outcome = sandbox.run("-o", setting)
    # A phase that ran in part only opens no gate.
    assert sandbox.notes() == ["p1"]
    assert outcome.incident is not None
    assert not (outcome.incident / "closed.json").exists()


def test_a_case_that_is_called_notset_is_a_case(sandbox: Sandbox) -> None:
    body = (
        "@pytest.mark.phase1\n@pytest.mark.parametrize('store', ['NOTSET'])\ndef test_p1(store): assert False"
    )
    sandbox.checks(test_a=body)
    never_verified(sandbox.run("-m", "phase1"))


def test_checks_that_are_reached_through_a_link_are_checks(sandbox: Sandbox) -> None:
    sandbox.checks(test_a="@pytest.mark.phase1\ndef test_one(): pytest.skip('not today')")
    (sandbox.pytester.path / "link").symlink_to(sandbox.pytester.path)
    never_verified(sandbox.run("--rootdir=link", "link/checks"))


def test_collecting_only_writes_nothing_and_is_no_error(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    outcome = sandbox.run("--collect-only", "-q")
    assert outcome.code == 0
    assert "test_p1" in outcome.text
    assert outcome.incident is None


@ALONE_AND_WITH_WORKERS
@pytest.mark.parametrize(
    "body",
    [
        "raise OSError(os.fsdecode(bytes([255])))",
        "class Odd(Exception):\n        def __str__(self): raise ValueError\n    raise Odd",
    ],
    ids=["half a character", "no text"],
)
def test_whatever_an_error_says_the_rest_is_run(sandbox: Sandbox, body: str) -> None:
    (sandbox.pytester.path / "conftest.py").write_text(
        'pytest_plugins = ["fixtures.gating.windows", "fixtures.gating.phases", "fixtures.gating.recorder",'
        ' "reports.run.scrubbing"]\n',
        encoding="utf-8",
    )
    sandbox.checks(
        test_a=f"@pytest.mark.phase1\ndef test_one():\n    {body}\n@pytest.mark.phase1\ndef test_two(): pass"
    )
    outcome = sandbox.run()
    assert outcome.code == ExitCode.BROKEN
    assert outcome.verdicts() == {"test_one": "broken", "test_two": "passed"}


@pytest.mark.parametrize("file", ["run.json", "plan.json", "results.jsonl", "rollback.json"])
@pytest.mark.parametrize("content", ["garbage\n", "[1]\n", '{"verdict": "ok"}\n'])
def test_a_record_that_was_damaged_is_a_usage_error(sandbox: Sandbox, file: str, content: str) -> None:
    sandbox.checks(**ONE_A_PHASE)
    incident = new_incident(sandbox.pytester.path / "incidents", "sandbox")
    run = incident.folder / "ledger" / "0001"
    run.mkdir(parents=True)
    (incident.folder / file if file == "rollback.json" else run / file).write_text(content)
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "record of the incident: expected files that can be read" in outcome.text
    never_verified(outcome)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("assert False", ["-x"]),
        ("raise KeyboardInterrupt", []),
        ("os.kill(os.getpid(), signal.SIGKILL)", []),
    ],
    ids=["stopped", "interrupted", "killed"],
)
def test_nobody_waits_for_what_will_never_run(sandbox: Sandbox, body: str, options: list[str]) -> None:
    """The windows are minutes long: waiting for their end would be seen as a run that is killed."""
    first = f"@pytest.mark.phase1\ndef test_p1():\n    time.sleep(0.5)\n    {body}"
    sandbox.checks(**{**ONE_A_PHASE, "test_1": first})
    never_verified(sandbox.run(*options))
