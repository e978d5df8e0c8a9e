"""No way to be green without every check, the operator's own too, having run and passed on a whole record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from rollproof.record_names import SEAL
from rollproof.sealing.seal import seal_state
from tests.conftest import write_profile
from tests.plugin_sandbox import IMPORTS, Here
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


OURS = """
@pytest.mark.verification
@pytest.mark.phase{0}
def test_ours_{0}(): note("ours{0}")
"""
SITE = """
@pytest.mark.phase1
def test_site_1(): note("site1")
@pytest.mark.phase3
@pytest.mark.parametrize("part", ["a", "b"])
def test_site_3(part): note(f"site3{part}")
"""


@pytest.fixture
def site(sandbox: Here) -> Here:
    """A sandbox whose profile names a folder next to the project, with the report's plugins."""
    sandbox.recorded()
    sandbox.checks(**{f"test_{phase}": OURS.format(phase) for phase in range(1, 5)})
    folder(sandbox).mkdir()
    write_profile(sandbox.folder, f'[checks]\nfolders = ["{folder(sandbox)}"]\n')
    return sandbox


def folder(site: Here) -> Path:
    """The folder of the site's checks: outside of the project."""
    return site.folder.parent / f"{site.folder.name}-site"


def write(site: Here, text: str, name: str = "test_site.py") -> None:
    (folder(site) / name).write_text(f"{IMPORTS}{text}\n", encoding="utf-8")


def test_they_are_ordered_and_recorded_like_ours(site: Here) -> None:
    write(site, SITE)
    outcome = site.run("-m", "verification")
    assert outcome.code == ExitCode.VERIFIED, outcome.text
    phases = [int(note.strip("abcdefghijklmnopqrstuvwxyz")) for note in site.notes()]
    assert phases == sorted(phases)
    assert set(site.notes()) == {"ours1", "site1", "ours2", "ours3", "site3a", "site3b", "ours4"}
    assert {"test_site_1", "test_site_3[a]", "test_site_3[b]"} <= outcome.verdicts().keys()
    assert outcome.incident is not None
    verdict = json.loads((outcome.incident / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["phases"]["phase3"]["checks"]["passed"] == 3


UNMARKED = "checks.folders: expected a marker of a phase on each, observed none on test_site.py::test_site"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_site(): note('site')", UNMARKED),
        (OURS.format(2), "expected names that no other check has, observed test_ours_2"),
        (
            "@pytest.mark.phase2\ndef helper(): pass",
            "expected at least one check in each folder, observed none in",
        ),
    ],
)
def test_what_could_not_be_told_apart_is_refused(site: Here, text: str, said: str) -> None:
    write(site, text)
    outcome = site.run("-m", "phase2", "--no-gate")
    assert outcome.code == ExitCode.USAGE, outcome.text
    assert said in outcome.text
    assert site.notes() == []


def test_they_are_given_no_secret_of_an_operator(site: Here) -> None:
    write(
        site,
        """
pytest_plugins = ["fixtures.target"]

@pytest.mark.phase1
def test_secrets(target):
    store = target.stores["redis"]
    for identity in (store.reader, store.operator):
        note(f"{identity.user}={len(identity.password.get_secret_value())}")
""",
    )
    assert site.run("-m", "phase1").code == ExitCode.VERIFIED
    assert site.notes() == ["ours1", f"reader={len('s3cret-of-the-canary')}", "operator=0"]
