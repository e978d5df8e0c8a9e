"""A command line of the tests' own: run in this process, on a sandbox, with a lock in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.decision.wish import Kind, Wish
from fixtures.errors import ExitCode
from fixtures.incident.incident import Incident, new_incident
from fixtures.incident.journal_steps import Step
from fixtures.rollback.unfinished import Unfinished
from fixtures.system.clock import Moment
from fixtures.verdict import Verdict
from rollback_actions.__main__ import main
from rollback_actions.session.journal import Journal
from tests.unit.sandbox import SECRET, Sandbox


@dataclass(frozen=True)
class Ran:
    """Runs the command line in this process, on the sandbox's profile."""

    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        """Return what is printed, which holds neither a secret nor a traceback."""
        target = f"--target={self.sandbox.profile}"
        self.monkeypatch.setattr("sys.argv", ["rollback_actions", *arguments, target])
        ended = main()
        said = "".join(self.capsys.readouterr())
        assert ended is code, said
        assert SECRET not in said
        assert "Traceback" not in said
        return said


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, but for those of git."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def incident_of(sandbox: Sandbox) -> Incident:
    """Return a new incident."""
    return new_incident(sandbox.target.folders.incidents, sandbox.target.name)


def begin(sandbox: Sandbox, *, failed: bool = False) -> Incident:
    """Leave a database rollback of redis as a kill leaves it, or a failure."""
    incident = incident_of(sandbox)
    journal = Journal(incident.folder / "journal.jsonl", str)
    wish = Wish(Kind.DATABASE, sandbox.commit, ("redis",))
    command = journal.write("started", step=f"rollback {wish}", id=Step.ROLLBACK)
    with journal.step("stop the application"):
        pass
    restore = journal.write("started", step="restore redis", id=Step.RESTORE, of="redis")
    unfinished = Unfinished.begin(incident, wish, "current")
    if failed:
        journal.write("failed", step="restore redis", began=restore, seconds=1.0, error="it is gone\nHINT: x")
        journal.write("failed", step=f"rollback {wish}", began=command, seconds=2.0, error="it is gone")
        incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
    return incident
