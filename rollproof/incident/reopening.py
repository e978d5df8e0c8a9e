"""Whether a migration brings back a rolled-back commit, and whether it was reopened since.

A rollback from commit M closes the gate for M for good, and for every commit that brings M back. Such a
commit has M in its history, changes a migration file that M had changed, or repeats a commit of M's under
another id. A commit that led to M, and is in its history under its own id, does not bring M back.

A commit that brings M back is let through if it has a *fix* in its history and the incident was reopened for
that fix. A fix is a commit that M does not have. A reopening has the root cause, a rehearsal of the fix that
passed, and a backup set, both later than the rollback. A commit that does not bring M back stays free.

A reopening is an entry of its own hash-chained journal in the incident's folder. Neither the incident's
journal, which a rollback may be writing, nor the journal of the fix's change contains it. So one folder has
the whole record of a rollback, and a later commit with the same fix finds it there without a search.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Problem, Unverifiable
from rollproof.git.copied_commits import copy_of
from rollproof.git.migration_files import changed_names
from rollproof.git.repository import contains
from rollproof.home import typed
from rollproof.incident.incident import Incident
from rollproof.incident.journal import verify_journal
from rollproof.incident.rollbacks import RolledBack, rollbacks_of
from rollproof.profile.profile import Target
from rollproof.record_names import REOPENING
from rollproof.system.clock import Moment
from rollproof.system.record_files import WrongRecord, record_of

REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Reopening:
    """The recorded reason why a migration that the incident rolled back may return with the commit `fix`.

    `rolled_back` are the commits that the incident went back from. `rehearsal` is the incident of the fix's
    rehearsal, whose verdict has the hash `verdict_sha256`. `backup` is the name of the backup set. Both were
    verified at that time; the gate's other items check the present state, for the commit to be promoted.
    `name` is the person who gave the reason; `user` on `host` recorded it.
    """

    incident: str
    fix: str
    rolled_back: tuple[str, ...]
    root_cause: str
    rehearsal: str
    verdict_sha256: str
    backup: str
    name: str
    user: str
    host: str
    at: Moment


@dataclass(frozen=True, slots=True)
class Closing:
    """A rollback that a migration would undo: `why`, and the newest `reopening` that lets it through.

    `reopening` is None while the gate is closed. `itself` tells that the migration is the rolled-back commit,
    or a part of that commit. `other_fixes` are the fixes of reopenings that do not let the migration through.
    """

    rollback: RolledBack
    why: str
    itself: bool
    reopening: Reopening | None
    other_fixes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the reopening that lets the migration through, or the reason why the gate is closed."""
        by = self.reopening
        if by is not None:
            return (
                f"incident {by.incident} was reopened by {by.name} for fix {by.fix[:12]},"
                f" rehearsed in {by.rehearsal}, with backup {by.backup}"
            )
        if self.itself:
            return f"{self.why}: that commit stays closed"
        if self.other_fixes:
            fixes = ", ".join(fix[:12] for fix in self.other_fixes)
            return f"{self.why}, and does not have the fix that it was reopened for, {fixes}"
        return f"{self.why}, and no reopening is recorded"


def reopening_journal(incident: Incident) -> Path:
    """Return the journal of the reopenings of `incident`; it may not exist."""
    return incident.folder / REOPENING


def read_reopenings(incident: Incident) -> list[Reopening]:
    """Return the recorded reopenings of `incident`, oldest first.

    Records of another incident or another target do not count, wherever they are.

    Raises:
        JournalBroken: the record was edited, truncated or damaged. `Problem`: it cannot be read, or has
            another shape.
    """
    path = reopening_journal(incident)
    ours = {"event": REOPENED, "incident": incident.id, "target": incident.target}
    records = [one for one in verify_journal(path) if {key: one.get(key) for key in ours} == ours]
    try:
        return [record_of(Reopening, record, more=True) for record in records]
    except WrongRecord as error:
        raise Problem.of_file(
            path,
            error,
            what="record of a reopening",
            expected="root cause, fix, rehearsal and backup set",
            hint="keep that file elsewhere, and reopen again",
        ) from None


def reopen_command(incident: str, fix: str, profile: Path) -> str:
    """Return the command that reopens `incident` for the commit `fix`, for a person to complete."""
    given = ("--fix", fix[:12], "--root-cause", "TEXT", "--as", "NAME", "--target", str(profile))
    return typed(shlex.join(["reopen", incident, *given]))


def since(reopenings: Sequence[Reopening], rollback: RolledBack) -> list[Reopening]:
    """Return the reopenings recorded after `rollback` began: an earlier one is not about it."""
    return [one for one in reopenings if one.at.seconds_since(rollback.began) > 0]


def closings_of(target: Target, migration: str) -> list[Closing]:
    """Return every rollback of `target` that the commit `migration`, a full id, would undo."""
    rollbacks = rollbacks_of(target.folders.incidents, target.name)
    found = [_closing(target, migration, rollback) for rollback in rollbacks]
    return [closing for closing in found if closing is not None]


def _closing(target: Target, migration: str, rollback: RolledBack) -> Closing | None:
    repository = target.application.repository
    recorded = since(read_reopenings(rollback.incident), rollback)
    left = rollback.left(repository)
    if left is None:
        # It was not known when the rollback began: the reopening's author says it.
        left = recorded[-1].rolled_back if recorded else None
    if left is None:
        raise Unverifiable(
            what=f"rollback of incident {rollback.incident.id}",
            expected="the commit that it went back from",
            observed="not recorded",
            source=str(rollback.incident.folder),
            hint=typed(f"reopen {rollback.incident.id} --from COMMIT --fix COMMIT …"),
        )
    why = next((why for commit in left if (why := _brought_back(target, migration, rollback, commit))), "")
    if not why:
        return None
    fixed = [one for one in recorded if contains(repository, migration, one.fix)]
    lets = [one for one in fixed if not any(contains(repository, commit, one.fix) for commit in left)]
    return Closing(
        rollback=rollback,
        why=why,
        itself=any(contains(repository, commit, migration) for commit in left),
        reopening=lets[-1] if lets else None,
        other_fixes=tuple(dict.fromkeys(one.fix for one in recorded if one not in lets)),
    )


def _brought_back(target: Target, migration: str, rollback: RolledBack, commit: str) -> str:
    """Return the way in which `migration` brings back the rolled-back `commit`, or "" if it does not."""
    repository, patterns = target.application.repository, target.premigration.state.migrations
    by = f"which incident {rollback.incident.id} rolled back"
    if migration == commit:
        return f"it is {commit[:12]}, {by}"
    if contains(repository, migration, commit):
        return f"it contains {commit[:12]}, {by}"

    def changed(by: str) -> set[str]:
        return {name for _, name in changed_names(repository, by, patterns, before=rollback.commit)}

    files = sorted(changed(migration) & changed(commit))
    if files:
        return f"it changes {files[0]} as {commit[:12]} does, {by}"
    again = copy_of(repository, commit, rollback.commit, migration)
    if again is None:
        return ""
    part = "" if again.original == commit else f" of {commit[:12]}"
    return f"it has {again.original[:12]}{part} again, as {again.copy[:12]}, {by}"


def reopen_hint(closed: Sequence[Closing], migration: str, profile: Path) -> str:
    """Return the hint that lets `migration` through the first of the `closed` gates, or "" without one."""
    if not closed:
        return ""
    first = closed[0]
    command = reopen_command(first.rollback.incident.id, "FIX" if first.itself else migration, profile)
    return f"mend it, and promote the commit that does: {command}" if first.itself else command
