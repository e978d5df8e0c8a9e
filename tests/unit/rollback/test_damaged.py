"""What is damaged during a rollback, or is of another target: it is said or skipped, and stops nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.answers.outline import losses
from rollback_actions.session.session import Session, TargetLock, open_session
from rollproof.backups.sets import find_backup
from rollproof.errors import ActionFailed, UsageProblem
from rollproof.incident.incident import Incident, RollbackRecord, load_incident
from rollproof.incident.journal import JournalBroken, Step, verify_journal
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning.plan import plan_database, plan_emergency, plan_full, plan_unfinished
from rollproof.planning.status import StepState, newest_rollback
from rollproof.planning.unfinished import Unfinished
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.world.lock import StandInPlace
from tests.world.sandbox import Sandbox


def _failed(sandbox: Sandbox) -> Incident:
    """Leave an incident with a rollback that failed just now."""
    incident, now = sandbox.new_incident(), Moment.now()
    incident.write_rollback(RollbackRecord(sandbox.commit, Verdict.FAILED, 1.0, now, now))
    return incident


@pytest.mark.parametrize("text", ["{", json.dumps({"target": "sandbox", "stores": {"mysql": None}})])
def test_a_damaged_backup_set_is_none(sandbox: Sandbox, text: str) -> None:
    backups, name = sandbox.target.folders.backups, sandbox.target.name
    (good,) = backups.glob("*/set.json")
    damaged = backups / f"29990101T000000000Z-{name}"
    damaged.mkdir()
    (damaged / "set.json").write_text(text)
    found = find_backup(backups, name, sandbox.commit)
    assert (found.folder, found.passed_over) == (good.parent, (damaged.name,))
    assert f"what newer sets held, which are damaged: {damaged.name}" in list(
        losses(plan_database(sandbox.target, "mysql"), {})
    )
    with pytest.raises(UsageProblem, match=rf"{damaged.name}, which is a damaged one: .*, commit "):
        find_backup(backups, name, sandbox.bad)


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda index: os.truncate(index, index.stat().st_size - 1)], ids=["gone", "cut"]
)
def test_a_backup_whose_index_is_damaged_is_refused(sandbox: Sandbox, damage: Callable[[Path], None]) -> None:
    (manifest,) = sandbox.target.folders.backups.glob("*/set.json")
    damage(manifest.parent / "index" / "mysql.db")
    for plan in (plan_database, plan_emergency):
        with pytest.raises(ActionFailed, match=r"^index of a backup set: "):
            plan(sandbox.target, "mysql" if plan is plan_database else sandbox.commit)
    # A person who names it wants it as it is.
    named = plan_emergency(sandbox.target, sandbox.commit, backup=manifest.parent.name)
    assert named.backup is not None
    assert named.backup.folder == manifest.parent
    # The index of another store is whole, and code needs none.
    plan_database(sandbox.target, "redis")
    plan_full(sandbox.target, sandbox.commit)
    # What began with that set goes on with it: its stores may be half restored.
    request = RollbackRequest(RollbackKind.DATABASE, sandbox.commit, ("mysql",))
    incident = sandbox.new_incident()
    unfinished = Unfinished.begin(incident, request, "current", manifest.parent.name, ("mysql",))
    resumed = plan_unfinished(sandbox.target, unfinished)
    assert resumed.backup is not None
    assert resumed.backup.folder == manifest.parent


def _act(sandbox: Sandbox, incident: Incident, act: object = None) -> None:
    lock = TargetLock(StandInPlace(), sandbox.target.name, "rollback x")
    with open_session(sandbox.target, lock, Step.ROLLBACK, lambda: incident.id) as session:
        assert isinstance(session, Session)
        with session.steps(Step.RESTORE):
            if callable(act):
                act()


def test_a_broken_journal_is_shown_and_continued_by_nobody(sandbox: Sandbox) -> None:
    incident = _failed(sandbox)
    journal = incident.folder / "journal.jsonl"
    _act(sandbox, incident)
    with journal.open("ab") as file:
        file.write(b"\0\n")
    broken = journal.read_bytes()
    status = newest_rollback(sandbox.target.folders.incidents, sandbox.target.name, running=False)
    assert [step.name for step in status.steps] == ["rollback x", "restore", "the journal"]
    assert status.steps[-1].state is StepState.BROKEN
    assert status.verdict is Verdict.BROKEN
    with pytest.raises(JournalBroken, match="mv "):
        _act(sandbox, incident)
    assert journal.read_bytes() == broken
    # Moved by a person, as the hint says: the next command begins another.
    journal.rename(journal.with_suffix(".jsonl.damaged"))
    _act(sandbox, incident)
    assert verify_journal(journal)[0]["step"] == "rollback x"


def test_a_lost_terminal_ends_no_rollback(sandbox: Sandbox) -> None:
    before = signal.getsignal(signal.SIGHUP)
    incident = load_incident(_failed(sandbox).folder)

    def hung_up(*_: object) -> None:
        raise ConnectionResetError

    signal.signal(signal.SIGHUP, hung_up)
    try:
        _act(sandbox, incident, lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is hung_up
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [record["event"] for record in verify_journal(incident.folder / "journal.jsonl")][-1] == "ended"
