"""A run that would join an incident whose windows are all over: it opens another, or says how to."""

from __future__ import annotations

from dataclasses import replace

from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, new_incident
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.pytester.conftest import Sandbox

FOUR = {f"test_{n}": f"@pytest.mark.phase{n}\ndef test_p{n}(): pass" for n in range(1, 5)}


def lines(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"this run {word} incident ")]


def test_a_run_after_all_windows_opens_an_incident_of_its_own(sandbox: Sandbox) -> None:
    sandbox.recorded()
    sandbox.checks(**FOUR)
    folder = sandbox.pytester.path / "incidents"
    old, now = new_incident(folder, "sandbox"), Moment.now()
    then = replace(now, since_boot=now.since_boot - 7200)
    old.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, then, then))
    outcome = sandbox.run("-q")
    assert outcome.code == ExitCode.VERIFIED
    (line,) = lines(outcome.text, "opens")
    (new,) = (path.name for path in folder.iterdir() if path.name != old.id and path.is_dir())
    assert line.startswith(f"this run opens incident {new}: the windows of {old.id} ended 1 h 50 min ago")
    assert line.endswith(f"--incident={old.id}")
    assert outcome.text.splitlines()[-1].endswith("(sandbox, without a rollback)")
    assert not (old.folder / "ledger").exists()
    named = sandbox.run("-q", f"--incident={old.id}", "-m", "phase1")
    assert named.code == ExitCode.FAILED
    assert named.text.splitlines()[-1].endswith(f"(sandbox, after rollback emergency {'c' * 40})")
    (line,) = lines(named.text, "joins")
    assert line.endswith("to open another incident, leave --incident out")
