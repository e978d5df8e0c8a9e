"""Whether a migration brings back a rolled-back commit, and whether its incident was reopened since.

A rollback from commit M to R closes the gate for M for good, and for each commit that has M in its history,
differs from R in a migration file in which M does too, or repeats a commit of M's history under another id. A
commit that both histories have under one id is not a repetition.

Such a commit passes if its history has a *fix*, a commit that M lacks, for which the incident was reopened.
Reopening takes a root cause. All other commits are unaffected.

Reopenings have their own hash-chained journal in the incident's folder, because a rollback may be writing the
incident's. So one folder holds the whole record, and a later commit with the same fix finds it there.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Unverifiable, UsageProblem
from rollproof.git.repository import changed_names, contains, copied
from rollproof.home import typed
from rollproof.incident.incident import Incident, Origin, incidents_of
from rollproof.incident.journal import verify_journal, well_formed
from rollproof.incident.rehearsals import BEGAN
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL, REOPENING, ROLLBACK, SUPERSEDED, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.record_files import record_of
from rollproof.verdict import Verdict

ROLLBACK_BEGAN = "rollback began"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A rollback to `commit` that began in `incident`, with any result.

    `origin` is the state that it went back from, or None if git or the engine did not answer at that time.
    """

    incident: Incident
    commit: str
    origin: Origin | None
    began: Moment

    def rolled_back(self, repository: Path) -> tuple[str, ...]:
        """Return the commits that it went back from.

        Commits in the history of its destination are left out: they stay deployed.
        """
        if self.origin is None:
            raise Unverifiable(
                what=f"rollback of incident {self.incident.id}",
                expected="the commit that it went back from",
                observed="not recorded",
                source=str(self.incident.folder),
                hint="see that the migration is another one, and waive the item of the gate that asks for it",
            )
        return tuple(one for one in self.origin.commits if not contains(repository, self.commit, one))


def rollback_in(incident: Incident) -> RolledBack | None:
    """Return the rollback that began in `incident`, or None; a rehearsal's is none."""
    path = incident.folder / JOURNAL
    records = verify_journal(path)
    if any(record["event"] == BEGAN for record in records):
        return None
    # Each resumed run repeats the origin of the first.
    if begun := [record for record in records if record["event"] == ROLLBACK_BEGAN]:
        with well_formed(path):
            known = {name: begun[-1][name] for name in ("head", "revisions")}
            origin = record_of(Origin, known) if known["head"] is not None else None
            return RolledBack(incident, begun[-1]["commit"], origin, Moment.from_record(begun[-1]["at"]))
    if any((incident.folder / name).exists() for name in (ROLLBACK, UNFINISHED)):
        raise Unverifiable(
            what=f"rollback of incident {incident.id}",
            expected="its beginning in the journal, which says what it went back from",
            observed="none",
            source=str(path),
            hint=f"resume it if it is unfinished: {typed('rollback resume')}",
        )
    return None


def went_back(incident: Incident) -> Mapping[str, str]:
    """Return the backup set that each store went back to with the rollback of `incident`.

    There is none where a rollback is unfinished or given up, failed, or has an unreadable record: any store
    may be half restored.
    """
    if any((incident.folder / name).exists() for name in (UNFINISHED, SUPERSEDED)):
        return {}
    try:
        record = incident.rollback()
    except UsageProblem:
        return {}
    if record is None or record.verdict is not Verdict.PASSED:
        return {}
    return dict.fromkeys(record.stores, record.backup) if record.backup else {}


REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Reopening:
    """The recorded reason why a migration that the incident rolled back may return with the commit `fix`.

    `rolled_back` are the commits that the incident went back from. `name` is the person who gave the reason;
    `user` on `host` recorded it. The gate's other items check rehearsal and backup, for the commit to be
    promoted.
    """

    incident: str
    fix: str
    rolled_back: tuple[str, ...]
    root_cause: str
    name: str
    user: str
    host: str
    at: Moment


@dataclass(frozen=True, slots=True)
class ClosedGate:
    """The gate as a rollback closed it for a migration: `why`, and the newest `reopening` to let it through.

    `reopening` is None while the gate is closed. `itself` says that the migration is the rolled-back commit,
    or is in that commit's history.
    """

    rollback: RolledBack
    why: str
    itself: bool
    reopening: Reopening | None

    def __str__(self) -> str:
        """Return the reopening that lets the migration through, or the reason why the gate is closed."""
        reopening = self.reopening
        if reopening is not None:
            return (
                f"incident {reopening.incident} was reopened by {reopening.name}"
                f" for fix {reopening.fix[:12]}: {reopening.root_cause}"
            )
        if self.itself:
            return f"{self.why}: that commit stays closed"
        return f"{self.why}, and it has no fix for which a reopening is recorded"


def reopening_journal(incident: Incident) -> Path:
    """Return the journal of the reopenings of `incident`; it may not exist."""
    return incident.folder / REOPENING


def read_reopenings(incident: Incident) -> list[Reopening]:
    """Return the recorded reopenings of `incident`, oldest first.

    Records of another incident or another target do not count, wherever they are.
    """
    ours = {"event": REOPENED, "incident": incident.id, "target": incident.target}
    path = reopening_journal(incident)
    mine = [one for one in verify_journal(path) if {key: one.get(key) for key in ours} == ours]
    with well_formed(path):
        return [record_of(Reopening, one, more=True) for one in mine]


def reopen_command(incident: str, fix: str, profile: Path) -> str:
    """Return the command that reopens `incident` for the commit `fix`, for a person to complete."""
    options = ("--fix", fix[:12], "--root-cause", "TEXT", "--as", "NAME", "--target", str(profile))
    return typed(shlex.join(["reopen", incident, *options]))


def closed_gates_for(target: Target, migration: str) -> list[ClosedGate]:
    """Return the gate of each rollback of `target` that the commit `migration`, a full id, would undo."""
    rollbacks = map(rollback_in, incidents_of(target.folders.incidents, target.name))
    found = [_closed_gate(target, migration, rollback) for rollback in rollbacks if rollback is not None]
    return [gate for gate in found if gate is not None]


def _closed_gate(target: Target, migration: str, rollback: RolledBack) -> ClosedGate | None:
    """Return the gate that `rollback` closed for `migration`, or None if it closed none."""
    repository = target.application.repository
    rolled_back = rollback.rolled_back(repository)
    reasons = (_reason_it_brings_back(target, migration, rollback, commit) for commit in rolled_back)
    why = next(filter(None, reasons), "")
    if not why:
        return None
    fixed = [one for one in read_reopenings(rollback.incident) if contains(repository, migration, one.fix)]
    lets = [one for one in fixed if not any(contains(repository, commit, one.fix) for commit in rolled_back)]
    return ClosedGate(
        rollback=rollback,
        why=why,
        itself=any(contains(repository, commit, migration) for commit in rolled_back),
        reopening=lets[-1] if lets else None,
    )


def _reason_it_brings_back(target: Target, migration: str, rollback: RolledBack, commit: str) -> str:
    """Return the way in which `migration` brings back the rolled-back `commit`, or "" if it does not."""
    repository, patterns = target.application.repository, target.premigration.state.migrations
    suffix = f"which incident {rollback.incident.id} rolled back"
    if migration == commit:
        return f"it is {commit[:12]}, {suffix}"
    if contains(repository, migration, commit):
        return f"it contains {commit[:12]}, {suffix}"

    def changed(commit_id: str) -> set[str]:
        return {name for _, name in changed_names(repository, commit_id, patterns, before=rollback.commit)}

    files = sorted(changed(migration) & changed(commit))
    if files:
        return f"it changes {files[0]} as {commit[:12]} does, {suffix}"
    repeated = copied(repository, commit, rollback.commit, migration)
    if not repeated:
        return ""
    part = "" if repeated == commit else f" of {commit[:12]}"
    return f"it repeats {repeated[:12]}{part}, {suffix}, under another id"


def reopen_hint(closed: Sequence[ClosedGate], migration: str, profile: Path) -> str:
    """Return the hint that lets `migration` through the first of the `closed` gates, or "" without one."""
    if not closed:
        return ""
    first = closed[0]
    command = reopen_command(first.rollback.incident.id, "FIX" if first.itself else migration, profile)
    if first.itself:
        return f"correct it in a new commit, and reopen the gate for that: {command}"
    return command
