"""A run whose end is not its own: killed, cancelled, on a full disk, or held by what a check left running."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from rollproof.errors import ExitCode
from tests.plugin_sandbox import Apart

# A limit of a file's size is met as a full disk is, by this process alone.
FILLS = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))"
READY = "os.write(2, b'READY\\n')\n    threading.Event().wait()"
CHECKS = """
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
    recorded.checks(test_a=CHECKS.format(body=FILLS))
    ended = recorded.run("-p", "no:cacheprovider")
    assert ended.code == ExitCode.BROKEN, ended.text
    assert "File too large" in ended.text
    assert set(ended.verdicts().values()) == {"passed"}
    # With room again, the same command goes on.
    recorded.checks(test_a=CHECKS.format(body="pass"))
    assert recorded.run("-p", "no:cacheprovider").code == ExitCode.VERIFIED


def test_a_cancelled_run_has_its_record_and_its_verdict(recorded: Apart) -> None:
    recorded.checks(test_a=CHECKS.format(body=READY))
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
    apart.checks(test_a=CHECKS.format(body=READY), test_b=NEXT)
    process = apart.start("--capture=no")
    wait_until_ready(process)
    process.kill()
    assert apart.ended(process).code == -signal.SIGKILL
    blocked = apart.run("-m", "phase2")
    assert blocked.code == ExitCode.BLOCKED
    reason = blocked.results()["test_next"]["reason"]
    assert "phase1 is not complete: 1 of 3 reported, not checks/test_a.py::test_two" in reason
    apart.checks(test_a=CHECKS.format(body="pass"))
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
