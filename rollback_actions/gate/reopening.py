"""The reopening of a rolled-back migration for its fix: the conditions are verified, and it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollback_actions.session.session import sealed_journal
from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.sets import BackupSet
from rollproof.errors import Mismatch, UsageProblem, listed
from rollproof.git.repository import contains, git, resolve_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident, incident_of, load_incident
from rollproof.incident.rehearsals import Rehearsal, RehearsalPlace
from rollproof.incident.reopening import (
    REOPENED,
    Reopening,
    read_reopenings,
    reopening_journal,
    reopenings_since,
)
from rollproof.incident.rollbacks import RolledBack, rollbacks_in
from rollproof.profile.profile import Target
from rollproof.record_names import UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.file_lock import file_lock
from rollproof.system.holder import author

# Rehearsal records are read under the lock: a second reopening waits this long at most.
_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """A person's request, as typed.

    `engineer` is who reopens. `rolled_back` is the commit that the incident went back from, if its record
    does not name it; else None.
    """

    incident: str
    fix: str
    root_cause: str
    engineer: str
    rolled_back: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedReopening:
    """The reopening as it is recorded now; `new` is False if it was recorded before."""

    reopening: Reopening
    new: bool


def reopen(target: Target, request: Request, say: Callable[[str], None]) -> RecordedReopening:
    """Record that an incident's rolled-back change may return with a fix, unless that is recorded already.

    Raises:
        UsageProblem: a condition of a reopening is not met. `Problem`: a record cannot be read.
    """
    for what, text in (("root cause", request.root_cause), ("engineer who reopens", request.engineer)):
        _require_text(what, text)
    # The incident's folder is accepted too, since other commands print it.
    incidents, name = target.folders.incidents, Path(request.incident).name
    # An unknown id: load_incident raises the error.
    incident = incident_of(incidents, target.name, name) or load_incident(incidents / name)
    rollbacks = rollbacks_in(incident)
    finished = _end_of(incident, rollbacks)
    rolled_back = _rolled_back_commits(target, incident, rollbacks, request.rolled_back)
    fix = resolve_commit(target.application.repository, request.fix)
    _require_fix(target, fix, rolled_back)
    lock = incident.folder.with_name(f".{incident.id}.reopening.lock")
    with (
        file_lock(lock, f"reopen {incident.id}", wait_seconds=_WAIT_SECONDS),
        sealed_journal(target, reopening_journal(incident), "reopen", say) as journal,
    ):
        recorded = _recorded(incident, rollbacks, fix)
        if recorded is not None:
            return RecordedReopening(recorded, new=False)
        rehearsal, verdict_sha256 = _rehearsal_of(target, fix, finished)
        backup = _backup_since(target, finished)
        journal.write(
            REOPENED,
            target=target.name,
            incident=incident.id,
            fix=fix,
            rolled_back=rolled_back,
            root_cause=request.root_cause.strip(),
            rehearsal=rehearsal.folder.name,
            rehearsed_on=rehearsal.target,
            verdict_sha256=verdict_sha256,
            backup=backup.folder.name,
            name=request.engineer.strip(),
            **author(),
        )
        return RecordedReopening(read_reopenings(incident)[-1], new=True)


def _recorded(incident: Incident, rollbacks: Sequence[RolledBack], fix: str) -> Reopening | None:
    """Return the reopening for `fix` that was recorded after the last rollback of `incident`, or None."""
    found = [one for one in reopenings_since(read_reopenings(incident), rollbacks[-1]) if one.fix == fix]
    return found[-1] if found else None


def _require_text(what: str, text: str) -> None:
    """Refuse an empty `text`."""
    if not text.strip():
        raise UsageProblem(
            what=what,
            expected="some text",
            observed="none",
            source="the command line",
            hint="say why it went wrong, and who says so: --root-cause, and --as",
        )


def _end_of(incident: Incident, rollbacks: Sequence[RolledBack]) -> Moment:
    """Return the end of the last rollback of `incident`."""
    ended = incident.rollback()
    unfinished = ended is None or (incident.folder / UNFINISHED).exists()
    if not rollbacks or ended is None or unfinished:
        resume = f"resume it first: {typed('rollback resume')}"
        named = f"the gate names the incident that closes it: {typed('gate COMMIT')}"
        raise UsageProblem(
            what=f"rollback in incident {incident.id}",
            expected="one that has succeeded, other than a rehearsal's",
            observed="one that began and did not succeed" if rollbacks else "none",
            source=str(incident.folder),
            hint=resume if rollbacks else named,
        )
    return ended.finished


def _rolled_back_commits(
    target: Target, incident: Incident, rollbacks: Sequence[RolledBack], named: str | None
) -> tuple[str, ...]:
    """Return the commits that the rollbacks of `incident` went back from, each once."""
    repository = target.application.repository
    recorded = [rollback.rolled_back(repository) for rollback in rollbacks]
    unknown = None in recorded
    # --rolled-back is required exactly if a record lacks the commit.
    if unknown is (named is None):
        raise UsageProblem(
            what=f"commit that incident {incident.id} went back from",
            expected="named, since its record lacks it" if unknown else "as its record has it",
            observed=named or "not named",
            source=str(incident.folder),
            hint="add --rolled-back COMMIT, deployed when it began" if unknown else "leave --rolled-back out",
        )
    known = [commit for commits in recorded for commit in commits or ()]
    if named is not None:
        commit = resolve_commit(repository, named)
        known += [] if contains(repository, rollbacks[-1].commit, commit) else [commit]
    if not known:
        raise UsageProblem(
            what=f"migration that incident {incident.id} rolled back",
            expected=f"a commit that is not in the history of {rollbacks[-1].commit[:12]}, where it went to",
            observed="none: that was deployed already",
            source=str(incident.folder),
            hint="it closes no gate that could be reopened",
        )
    return tuple(dict.fromkeys(known))


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


def _rehearsal_of(target: Target, fix: str, finished: Moment) -> tuple[Rehearsal, str]:
    """Return the newest rehearsal of `fix`, which passed after `finished`, and the hash of its verdict."""
    place = RehearsalPlace.of(target)
    newest = place.newest(fix)
    fault = "none" if newest is None else newest.fault()
    if newest is not None and not fault and newest.began.seconds_since(finished) <= 0:
        fault = f"which began {newest.began.wall}; the rollback ended {finished.wall}"
    if newest is None or newest.ending is None or fault:
        raise UsageProblem(
            what=f"rehearsal of the fix, {fix[:12]}",
            expected=f"one of target {place.target} that passed, begun after the rollback ended",
            observed=f"{newest.folder.name}, {fault}" if newest is not None else fault,
            source=str(newest.folder if newest is not None else place.incidents),
            hint=typed(f"rehearse {fix[:12]} --target STAGING-PROFILE"),
        )
    return newest, newest.ending.verdict_sha256


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
