"""Ways to be green without every check having run and passed: none of them is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from tests.plugin_sandbox import Here
from tests.run_outcome import Outcome

ONE_A_PHASE = {
    f"test_{number}": f"@pytest.mark.phase{number}\ndef test_p{number}(): note('p{number}')"
    for number in range(1, 5)
}
STEP = """
@pytest.fixture
def migration(): return "c" * 40
@pytest.mark.step1
def test_backup(migration): pass
"""
WRONG = [["-m", "step1"], ["checks/none.py"], ["checks/test_1.py::test_none"], ["-m", "("]]
UNCOLLECTED = {
    "skipped": "pytest.importorskip('no_such_module')\n@pytest.mark.phase1\ndef test_p0(): pass",
    "no module": "import no_such_module",
    "class": "@pytest.mark.phase1\nclass TestP0:\n    def __init__(self): pass\n    def test_p0(self): pass",
}


def never_verified(outcome: Outcome) -> None:
    assert outcome.code != ExitCode.VERIFIED, outcome.text
    assert "INTERNALERROR" not in outcome.text
    assert "Traceback (most recent" not in outcome.text
    if outcome.incident is not None:
        assert not (outcome.incident / "closed.json").exists()


@pytest.mark.parametrize("module", UNCOLLECTED.values(), ids=UNCOLLECTED)
def test_checks_that_were_not_collected_did_not_pass(sandbox: Here, module: str) -> None:
    sandbox.checks(**ONE_A_PHASE, test_0=module)
    never_verified(sandbox.run("-m", "phase1"))
    outcome = sandbox.run("--continue-on-collection-errors")
    never_verified(outcome)
    assert "phase1 ran in part only (not collected: " in outcome.results()["test_p2"]["reason"]


@pytest.mark.parametrize("mark", ["@pytest.mark.step1\n", ""], ids=["step", "no stage"])
def test_a_check_of_no_phase_that_is_skipped_is_not_zero(sandbox: Here, mark: str) -> None:
    sandbox.checks(test_a=f"{mark}def test_one(): pytest.skip('not today')")
    never_verified(sandbox.run())


def test_a_step_that_fails_keeps_the_incident_open(sandbox: Here) -> None:
    sandbox.checks(**ONE_A_PHASE, test_0="@pytest.mark.step1\ndef test_s1(): assert False")
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    never_verified(outcome)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("assert False", ["-x"]),
        ("raise KeyboardInterrupt", []),
        ("os.kill(os.getpid(), signal.SIGTERM)", []),
    ],
    ids=["failed", "interrupted", "ended"],
)
def test_whatever_ends_a_run_the_incident_is_open_until_it_is_verified_again(
    sandbox: Here, body: str, options: list[str]
) -> None:
    sandbox.checks(**ONE_A_PHASE)
    first = sandbox.run("--incident=one")
    assert first.incident is not None
    assert (first.incident / "closed.json").exists()
    sandbox.checks(test_3=f"@pytest.mark.phase3\ndef test_p3():\n    {body}")
    again = sandbox.run("--incident=one", *options)
    assert again.code != ExitCode.VERIFIED
    if options:
        assert again.code == ExitCode.FAILED
    assert not (first.incident / "closed.json").exists()


def test_a_run_whose_record_holds_a_secret_closes_nothing(sandbox: Here) -> None:
    key = "-----BEGIN PRIVATE KEY-----\\n" + "MIIE" * 16 + "\\n-----END PRIVATE KEY-----\\n"
    body = f"next(pathlib.Path('incidents').glob('*')).joinpath('left.txt').write_text('{key}')"
    sandbox.recorded()
    sandbox.checks(**ONE_A_PHASE)
    sandbox.checks(test_4=f"import pathlib\n@pytest.mark.phase4\ndef test_p4(): {body}")
    outcome = sandbox.run()
    assert "secret in the record: expected none, observed one" in outcome.text
    assert outcome.code == ExitCode.FAILED
    never_verified(outcome)


def test_checks_are_not_run_without_a_target_however_they_are_named(sandbox: Here) -> None:
    sandbox.checks(**ONE_A_PHASE)
    (sandbox.folder / "checks").rename(sandbox.folder / "elsewhere")
    assert sandbox.run("elsewhere").code == ExitCode.USAGE
    assert sandbox.notes() == []


@pytest.mark.parametrize(
    "body",
    [
        "raise OSError(os.fsdecode(bytes([255])))",
        "class Odd(Exception):\n        def __str__(self): raise ValueError\n    raise Odd",
    ],
    ids=["half a character", "no text"],
)
def test_whatever_an_error_says_the_rest_is_run(sandbox: Here, body: str) -> None:
    (sandbox.folder / "conftest.py").write_text(
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


@pytest.mark.parametrize("file", ["results.jsonl", "rollback.json"])
def test_a_record_that_was_damaged_is_a_usage_error(sandbox: Here, file: str) -> None:
    sandbox.checks(**ONE_A_PHASE)
    incident = new_incident(sandbox.folder / "incidents", "sandbox")
    run = incident.folder / "ledger" / "0001"
    run.mkdir(parents=True)
    (incident.folder / file if file == "rollback.json" else run / file).write_text('{"verdict": "ok"}\n')
    outcome = sandbox.run()
    assert outcome.code == ExitCode.USAGE
    assert "record of the incident: expected files that can be read" in outcome.text
    never_verified(outcome)


def test_a_rollback_that_ends_during_the_run_overtakes_it(sandbox: Here) -> None:
    rolls = """
from dataclasses import replace
from pathlib import Path
from rollproof.system.clock import Moment
from rollproof.incident.incident import RollbackRecord, load_incident
@pytest.mark.phase1
def test_p1(clock):
    clock.turn(1)
    (folder,) = Path("incidents").glob("*/incident.json")
    now = Moment.now()
    after = replace(now, since_boot=now.since_boot + 1)
    load_incident(folder.parent).write_rollback(RollbackRecord("c" * 40, "passed", 1.0, now, after))
"""
    sandbox.checks(**ONE_A_PHASE | {"test_1": rolls})
    assert sandbox.run().code == ExitCode.BROKEN


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_usage_error_is_no_part_of_an_incident(sandbox: Here) -> None:
    sandbox.recorded()
    sandbox.checks(**ONE_A_PHASE)
    assert sandbox.run("-m", "phase1", "--incident=one").code == ExitCode.VERIFIED
    sandbox.checks(test_a=STEP)
    folder = sandbox.folder / "incidents"
    (folder / "one" / "closed.json").write_text('{"closed": {}}')
    before = files(folder)
    for number, arguments in enumerate([*WRONG, ["--baseline=nosuch"]]):
        incident = [] if number % 2 else ["--incident=one"]
        outcome = sandbox.run(*arguments, *incident)
        assert outcome.code == ExitCode.USAGE, outcome.text
        assert "incident one" not in outcome.text
        assert files(folder) == before
