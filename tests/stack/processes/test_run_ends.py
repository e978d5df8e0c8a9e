"""A run whose end is not its own: killed, on a full disk, held by a check, or with workers that die."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import ExitCode
from tests.canaries import (
    CHECKS,
    CRASHES,
    PROGRAM,
    hold_canaries,
    leaks,
    leaks_of,
    require_all_reported,
)
from tests.plugin_sandbox import UNRENDERED, Apart

# A limit of a file's size is met as a full disk is, by this process alone.
FILLS = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))"
READY = "os.write(2, b'READY\\n')\n    threading.Event().wait()"
THREE = """
@pytest.mark.phase1
def test_one(): pass
@pytest.mark.phase1
def test_two():
    {body}
@pytest.mark.phase1
def test_three(): pass
"""
NEXT = "@pytest.mark.phase2\ndef test_next(): pass"


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Read what a run prints until its check says that it waits."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "READY" in line:
            return printed
    raise AssertionError(f"it ended: {printed}")


def test_a_disk_that_fills_up_is_broken_and_leaves_what_was_recorded(recorded: Apart) -> None:
    recorded.checks(test_a=THREE.format(body=FILLS))
    ended = recorded.run("-p", "no:cacheprovider")
    assert ended.code == ExitCode.BROKEN, ended.text
    assert "File too large" in ended.text
    assert set(ended.verdicts().values()) == {"passed"}
    # With room again, the same command goes on.
    recorded.checks(test_a=THREE.format(body="pass"))
    assert recorded.run("-p", "no:cacheprovider").code == ExitCode.VERIFIED


def test_a_cancelled_run_has_its_record_and_its_verdict(recorded: Apart) -> None:
    recorded.checks(test_a=THREE.format(body=READY))
    process = recorded.start("--capture=no")
    wait_until_ready(process)
    process.send_signal(signal.SIGTERM)
    ended = recorded.ended(process)
    assert ended.code == ExitCode.INTERRUPTED, ended.text
    assert ended.incident is not None
    verdict = json.loads((ended.incident / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] != "passed"
    assert f"incident {ended.incident.name}" in ended.text


def test_a_run_that_is_killed_is_not_complete_and_can_be_run_again(apart: Apart) -> None:
    apart.checks(test_a=THREE.format(body=READY), test_b=NEXT)
    process = apart.start("--capture=no")
    wait_until_ready(process)
    process.kill()
    assert apart.ended(process).code == -signal.SIGKILL
    blocked = apart.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    reason = blocked.results()["test_next"]["reason"]
    assert "phase1 is not complete: 1 of 3 reported, not checks/test_a.py::test_two" in reason
    apart.checks(test_a=THREE.format(body="pass"))
    assert apart.run().code == ExitCode.VERIFIED


@pytest.mark.parametrize(
    ("holds", "code"), [("True", ExitCode.VERIFIED), ("False", ExitCode.FAILED)], ids=["passed", "failed"]
)
def test_what_a_check_leaves_running_keeps_no_process_and_changes_no_exit_code(
    apart: Apart, holds: str, code: ExitCode
) -> None:
    apart.settings("import fixtures.gating.windows\nfixtures.gating.windows.OUTER_GRACE_SECONDS = 0.0\n")
    left = "threading.Thread(target=threading.Event().wait, name='left running').start()"
    apart.checks(test_a=f"@pytest.mark.phase1\ndef test_p1():\n    {left}\n    assert {holds}")
    outcome = apart.run()
    assert outcome.code == code, outcome.text
    assert "threading.py" in outcome.text, "its stack"


DIES = """
@pytest.mark.phase1
@pytest.mark.parametrize("part", ["a", "b", "c"])
def test_part(part):
    note(part)
    if part == "a" and not os.path.exists("mended"):
        os.kill(os.getpid(), signal.SIGKILL)
@pytest.mark.phase2
def test_next(): pass
"""


@pytest.mark.long(minutes=0.2)
def test_workers_share_one_phase_and_no_more(recorded: Apart) -> None:
    recorded.checks(
        **{
            f"test_{n}": f"@pytest.mark.phase{n}\n@pytest.mark.parametrize('part', 'abcd')\n"
            f"def test_{n}(part): note(os.environ['PYTEST_XDIST_WORKER'])"
            for n in (1, 2)
        }
    )
    outcome = recorded.run("-n2")
    assert outcome.code == ExitCode.USAGE
    assert "-n: expected one phase, whose checks workers share, observed phase1, phase2" in outcome.text
    assert outcome.incident is None
    outcome = recorded.run("-n2", "-m", "phase1", "-x")
    assert outcome.code == ExitCode.VERIFIED
    assert set(recorded.notes()) == {"gw0", "gw1"}
    assert outcome.text.splitlines()[-1].startswith("PASSED: ")


def test_a_check_whose_worker_is_killed_is_broken_and_known_again_when_it_runs(recorded: Apart) -> None:
    recorded.checks(test_a=DIES)
    lost = recorded.run("-n1", "-m", "phase1")
    assert lost.code == ExitCode.BROKEN
    assert recorded.notes() == ["a"], "nothing runs twice, and nothing after it"
    assert lost.results()["test_part[a]"]["reason"] == "the worker that ran it died"
    assert lost.verdicts() == {"test_part[a]": "broken"}
    assert lost.incident is not None
    before = _results(lost.incident)
    died, left = (before[f"checks/test_a.py::test_part[{part}]"] for part in "ab")
    assert (died["status"], left["status"]) == ("broken", "broken")
    assert died["statusDetails"]["message"] == "the worker that ran it died"
    assert left["statusDetails"]["message"] == "no result: the check was planned and never reported"

    blocked = recorded.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    assert "test_part[a] broken" in blocked.results()["test_next"]["reason"]

    (recorded.folder / "mended").touch()
    again = recorded.run("-m", "phase1")
    assert again.code == ExitCode.VERIFIED
    after = _results(lost.incident)
    assert {name: result["historyId"] for name, result in before.items()}.items() <= {
        name: result["historyId"] for name, result in after.items()
    }.items()


def _results(incident: Path) -> dict[str, dict[str, Any]]:
    """Return the newest result of each check, by its node id."""
    loaded = [json.loads(path.read_text()) for path in incident.glob("allure-results/*-result.json")]
    loaded.sort(key=lambda result: result["start"])
    return {
        next(label["value"] for label in result["labels"] if label["name"] == "nodeId"): result
        for result in loaded
    }


@pytest.fixture
def canaries(apart: Apart) -> Apart:
    hold_canaries(apart)
    apart.settings(UNRENDERED)
    return apart


def test_no_canary_leaves_a_run_of_workers(canaries: Apart) -> None:
    canaries.checks(test_entrances=CHECKS + PROGRAM)
    outcome = canaries.run("--tb=native", "-n2")
    assert outcome.code == ExitCode.FAILED, outcome.text
    assert "secret in the record" not in outcome.text
    assert leaks(outcome.text) == []
    assert leaks_of(canaries) == {}
    require_all_reported(canaries, CHECKS + PROGRAM)


def test_no_canary_leaves_a_worker_that_dies(canaries: Apart) -> None:
    canaries.checks(test_entrances=CRASHES)
    outcome = canaries.run("-n2")
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.NOTHING_SELECTED}, outcome.text
    assert "crashed" in outcome.text
    assert leaks(outcome.text) == []
    assert leaks_of(canaries) == {}
