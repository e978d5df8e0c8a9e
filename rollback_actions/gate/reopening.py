"""The reopening of a rolled-back migration for its fix: the conditions are verified, and it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rollback_actions.session.session import sealed_journal
from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.sets import BackupSet
from rollproof.errors import Mismatch, UsageProblem, listed
from rollproof.git.repository import contains, git, resolve_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident, incident_of, load_incident
from rollproof.incident.rehearsals import Rehearsal, newest_rehearsal, rehearsal_place
from rollproof.incident.reopening import (
    REOPENED,
    Reopening,
    read_reopenings,
    reopening_journal,
)
from rollproof.incident.rollbacks import RolledBack, rollback_in
from rollproof.profile.profile import Target
from rollproof.record_names import UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.file_lock import file_lock
from rollproof.system.holder import author

# Rehearsal records are read under the lock: a second reopening waits this long at most.
_WAIT_SECONDS = 10.0


def reopen(
    target: Target, wanted: str, fix: str, root_cause: str, engineer: str, say: Callable[[str], None]
) -> Reopening:
    """Record that the rolled-back change of incident `wanted` may return with `fix`; return the record."""
    # The incident's folder is accepted too, since other commands print it.
    incidents, name = target.folders.incidents, Path(wanted).name
    # An unknown id: load_incident raises the error.
    incident = incident_of(incidents, target.name, name) or load_incident(incidents / name)
    rollback, ended = _ended(incident)
    rolled_back = _rolled_back_commits(target, rollback)
    fix = resolve_commit(target.application.repository, fix)
    _require_fix(target, fix, rolled_back)
    lock = incident.folder.with_name(f".{incident.id}.reopening.lock")
    with (
        file_lock(lock, f"reopen {incident.id}", wait_seconds=_WAIT_SECONDS),
        sealed_journal(target, reopening_journal(incident), "reopen", say) as journal,
    ):
        rehearsal = _rehearsal_of(target, fix, ended)
        backup = _backup_since(target, ended)
        journal.write(
            REOPENED,
            target=target.name,
            incident=incident.id,
            fix=fix,
            rolled_back=rolled_back,
            root_cause=root_cause.strip(),
            rehearsal=rehearsal.folder.name,
            rehearsed_on=rehearsal.target,
            backup=backup.folder.name,
            name=engineer.strip(),
            **author(),
        )
        return read_reopenings(incident)[-1]


def _ended(incident: Incident) -> tuple[RolledBack, Moment]:
    """Return the rollback of `incident`, and when it ended."""
    rollback, record = rollback_in(incident), incident.rollback()
    if rollback is None or record is None or (incident.folder / UNFINISHED).exists():
        resume = f"resume it first: {typed('rollback resume')}"
        named = f"the gate names the incident that closes it: {typed('gate COMMIT')}"
        raise UsageProblem(
            what=f"rollback in incident {incident.id}",
            expected="one that has succeeded, other than a rehearsal's",
            observed="none" if rollback is None else "one that began and did not succeed",
            source=str(incident.folder),
            hint=named if rollback is None else resume,
        )
    return rollback, record.finished


def _rolled_back_commits(target: Target, rollback: RolledBack) -> tuple[str, ...]:
    """Return the commits that `rollback` went back from."""
    commits = rollback.rolled_back(target.application.repository)
    if not commits:
        raise UsageProblem(
            what=f"migration that incident {rollback.incident.id} rolled back",
            expected=f"a commit that is not in the history of {rollback.commit[:12]}, where it went to",
            observed="none: that was deployed already",
            source=str(rollback.incident.folder),
            hint="it closes no gate that could be reopened",
        )
    return commits


def _require_fix(target: Target, fix: str, rolled_back: Sequence[str]) -> None:
    """Refuse a fix that is the rolled-back commit, a part of its history, or the same files again."""
    repository = target.application.repository
    for commit in rolled_back:
        same = git(repository, "rev-parse", f"{fix}^{{tree}}") == git(
            repository, "rev-parse", f"{commit}^{{tree}}"
        )
        if same or contains(repository, commit, fix):
            raise UsageProblem(
                what=f"fix of {commit[:12]}, which was rolled back",
                expected="another commit, which changes what was wrong",
                observed=f"{fix[:12]}, which {'has the same files' if same else 'is in its history'}",
                source=str(repository),
                hint="correct it in a new commit, and rehearse that: the rolled-back one stays refused",
            )


def _rehearsal_of(target: Target, fix: str, finished: Moment) -> Rehearsal:
    """Return the newest rehearsal of `fix`, which passed after `finished`."""
    incidents, name = rehearsal_place(target)
    newest = newest_rehearsal(incidents, name, fix)
    fault = "none" if newest is None else newest.fault()
    if newest is not None and not fault and newest.began.seconds_since(finished) <= 0:
        fault = f"which began {newest.began.wall}; the rollback ended {finished.wall}"
    if newest is None or newest.ending is None or fault:
        raise UsageProblem(
            what=f"rehearsal of the fix, {fix[:12]}",
            expected=f"one of target {name} that passed, begun after the rollback ended",
            observed=f"{newest.folder.name}, {fault}" if newest is not None else fault,
            source=str(newest.folder if newest is not None else incidents),
            hint=typed(f"rehearse {fix[:12]} --target STAGING-PROFILE"),
        )
    return newest


def _backup_since(target: Target, finished: Moment) -> BackupSet:
    """Return the newest backup set, which must have begun after `finished`; the gate reads all of it."""
    expected, observed = f"one of every store, begun after {finished.wall}", "none"
    try:
        backup = newest_backup(target.folders.backups, target.name)
        missing = [name for name in target.stores if name not in backup.taken]
        early = [began.wall for began, _ in backup.taken.values() if began.seconds_since(finished) <= 0]
        if not missing and not early:
            return backup
        observed = f"{backup.folder.name}, " + (
            f"begun {min(early)}" if early else f"without {listed(missing)}"
        )
    except Mismatch as wrong:
        observed = str(wrong.observed)
    raise UsageProblem(
        what="backup set since the rollback",
        expected=expected,
        observed=observed,
        source=str(target.folders.backups),
        hint=backup_hint(),
    )
