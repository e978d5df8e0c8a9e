"""What a run leaves out, leaves behind or is overtaken by: it is no verification."""

from __future__ import annotations

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, new_incident
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.pytester.conftest import ALONE_AND_WITH_WORKERS, Sandbox
from tests.pytester.test_fail_closed import ONE_A_PHASE


def test_what_a_check_leaves_running_does_not_keep_the_process(sandbox: Sandbox) -> None:
    sandbox.grace(0.3)
    left = (
        "from concurrent.futures import ThreadPoolExecutor\n    ThreadPoolExecutor(1).submit(time.sleep, 600)"
    )
    sandbox.checks(**ONE_A_PHASE | {"test_4": f"@pytest.mark.phase4\ndef test_p4():\n    {left}"})
    outcome = sandbox.run()
    assert set(outcome.verdicts().values()) == {"passed"}
    assert "ThreadPoolExecutor" in outcome.text or "concurrent/futures/thread.py" in outcome.text


def test_modules_that_nobody_counted_are_no_success_of_one_phase_either(sandbox: Sandbox) -> None:
    skipped = "pytest.importorskip('no_such_module')\n@pytest.mark.phase1\ndef test_p0(): pass"
    sandbox.checks(**ONE_A_PHASE, test_0=skipped)
    assert sandbox.run("-m", "phase1").code == ExitCode.BROKEN


def test_no_check_runs_twice(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    assert sandbox.run("--keep-duplicates", "checks", "checks").code == ExitCode.VERIFIED
    assert sandbox.notes() == ["p1", "p2", "p3", "p4"]


@ALONE_AND_WITH_WORKERS
def test_checks_are_not_run_without_a_target_however_they_are_named(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    (sandbox.pytester.path / "checks" / "__init__.py").touch()
    assert sandbox.run("--pyargs", "checks.test_1").code != ExitCode.VERIFIED
    assert sandbox.notes() == []


def test_a_class_that_cannot_be_collected_is_no_verification(sandbox: Sandbox) -> None:
    class_ = "@pytest.mark.phase1\nclass TestP0:\n    def __init__(self): pass\n    def test_p0(self): pass"
    sandbox.checks(**ONE_A_PHASE, test_0=class_)
    assert sandbox.run().code == ExitCode.BROKEN


def test_a_rollback_that_ends_during_the_run_overtakes_it(sandbox: Sandbox) -> None:
    rolls = """
from pathlib import Path
from rollproof.system.clock import Moment
from rollproof.incident.incident import RollbackRecord, load_incident
@pytest.mark.phase1
def test_p1():
    (folder,) = Path("incidents").glob("*/incident.json")
    now = Moment.now()
    load_incident(folder.parent).write_rollback(RollbackRecord("c" * 40, "passed", 1.0, now, now))
"""
    sandbox.checks(**ONE_A_PHASE | {"test_1": rolls})
    assert sandbox.run().code == ExitCode.BROKEN


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
    sandbox: Sandbox, body: str, options: list[str]
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


def test_the_open_incident_is_the_one_where_something_happened_last(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    assert sandbox.run("-m", "phase1", "--incident=test-1").code == ExitCode.VERIFIED
    incidents = sandbox.pytester.path / "incidents"
    rolled_back = new_incident(incidents, "sandbox")
    now = Moment.now()
    rolled_back.write_rollback(RollbackRecord("c" * 40, Verdict.FAILED, 1.0, now, now))
    assert sandbox.run().code == ExitCode.FAILED
    assert not (incidents / "test-1" / "closed.json").exists()


@ALONE_AND_WITH_WORKERS
@pytest.mark.parametrize(
    "stage", ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "import no_such_module"]
)
def test_what_dies_while_it_is_collected_is_broken(sandbox: Sandbox, stage: str) -> None:
    sandbox.checks(**ONE_A_PHASE, test_0=stage)
    outcome = sandbox.run("-m", "phase1")
    if sandbox.parallel or "no_such" in stage:
        assert outcome.code == ExitCode.BROKEN
    else:
        assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}


@pytest.mark.parametrize("sandbox", [["-n2"]], ids=["n2"], indirect=True)
def test_a_worker_that_dies_after_its_last_report_leaves_the_run_red(sandbox: Sandbox) -> None:
    sandbox.checks(**ONE_A_PHASE)
    (sandbox.pytester.path / "checks" / "conftest.py").write_text(
        "import os, signal\ndef pytest_sessionfinish(session):\n"
        "    if hasattr(session.config, 'workerinput'): os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    assert sandbox.run("-m", "phase1").code == ExitCode.BROKEN


def test_a_cleanup_that_waits_too_is_stopped_and_late(sandbox: Sandbox) -> None:
    waits = """@pytest.mark.phase4
@pytest.mark.timeout(1)
def test_p4():
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as pool: list(pool.map(time.sleep, [600]))"""
    sandbox.settings("import fixtures.gating.windows\nfixtures.gating.windows._AGAIN_SECONDS = 0.5\n")
    sandbox.grace(0.3)
    sandbox.checks(**ONE_A_PHASE | {"test_4": waits})
    outcome = sandbox.run()
    assert outcome.code == ExitCode.FAILED
    assert outcome.results()["test_p4"]["reason"].startswith("late: ")
