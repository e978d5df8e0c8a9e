"""The reopening of a rolled-back migration for its fix: the conditions are verified, and it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.backups.newest_backup import newest_backup, read_store
from fixtures.backups.sets import BackupSet
from fixtures.errors import Mismatch, UsageProblem, listed
from fixtures.git.repository import contains, git, resolve_commit
from fixtures.home import typed
from fixtures.incident.incident import Incident, load_incident
from fixtures.incident.kept_backups import AGAIN
from fixtures.incident.rehearsals import Rehearsal, RehearsalPlace
from fixtures.incident.reopening import REOPENED, Reopening, read_reopenings, reopening_journal, since
from fixtures.incident.rollbacks import RolledBack, rollbacks_in
from fixtures.record_names import INCIDENT, UNFINISHED
from fixtures.system.clock import Moment
from fixtures.target.profile import Target
from fixtures.verdict import Verdict
from rollback_actions.session.file_lock import file_lock
from rollback_actions.session.holder import Holder
from rollback_actions.session.session import sealed_journal

# A reopening reads a whole backup set under the lock; a second one does not wait for that.
_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a person, as it is typed.

    `rolled_back` is the commit that the incident went back from, if its record does not name it; else None.
    """

    incident: str
    fix: str
    root_cause: str
    name: str
    rolled_back: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reopening as it is recorded now; `new` is False if it was recorded before."""

    reopening: Reopening
    new: bool


def reopen(target: Target, request: Request, say: Callable[[str], None]) -> Outcome:
    """Record that an incident's rolled-back change may come again with a fix, unless it is recorded already.

    Raises:
        UsageProblem: a condition of a reopening is not met. `Problem`: a record cannot be read.
    """
    for what, text in (("root cause", request.root_cause), ("engineer who reopens", request.name)):
        _require_text(what, text)
    incident = _incident(target, request.incident)
    rollbacks = rollbacks_in(incident)
    finished = _finished(incident, rollbacks)
    left = _left(target, incident, rollbacks, request.rolled_back)
    fix = resolve_commit(target.application.repository, request.fix)
    _require_fix(target, fix, left)
    lock = incident.folder.with_name(f".{incident.id}.reopening.lock")
    with (
        file_lock(lock, f"reopen {incident.id}", wait_seconds=_WAIT_SECONDS),
        sealed_journal(target, reopening_journal(incident), "reopen", say) as journal,
    ):
        recorded = _recorded(incident, rollbacks, fix)
        if recorded is not None:
            return Outcome(recorded, new=False)
        rehearsal, verdict_sha256 = _rehearsal(target, fix, finished)
        backup = _backup(target, finished)
        me = Holder.this("reopen")
        journal.write(
            REOPENED,
            target=target.name,
            incident=incident.id,
            fix=fix,
            rolled_back=left,
            root_cause=request.root_cause.strip(),
            rehearsal=rehearsal.folder.name,
            rehearsed_on=rehearsal.target,
            verdict_sha256=verdict_sha256,
            backup=backup.folder.name,
            name=request.name.strip(),
            user=me.user,
            host=me.host,
            pid=str(me.process.pid),
        )
        return Outcome(read_reopenings(incident)[-1], new=True)


def _recorded(incident: Incident, rollbacks: Sequence[RolledBack], fix: str) -> Reopening | None:
    """Return the reopening for `fix` that was recorded after the last rollback of `incident`, or None."""
    found = [one for one in since(read_reopenings(incident), rollbacks[-1]) if one.fix == fix]
    return found[-1] if found else None


def _require_text(what: str, text: str) -> None:
    if not text.strip():
        raise UsageProblem(
            what=what,
            expected="some text",
            observed="none",
            source="the command line",
            hint="say why it went wrong, and who says so: --root-cause or --root-cause-file, and --as",
        )


def _incident(target: Target, name: str) -> Incident:
    # The incident's folder is accepted too, since the other commands print it.
    incident = load_incident(target.folders.incidents / Path(name).name)
    if incident.target != target.name:
        raise UsageProblem(
            what=f"target of incident {incident.id}",
            expected=target.name,
            observed=incident.target,
            source=str(incident.folder / INCIDENT),
            hint="use the profile of that target, or another incident id",
        )
    return incident


def _finished(incident: Incident, rollbacks: Sequence[RolledBack]) -> Moment:
    """Return the end of the last rollback of `incident`."""
    ended = incident.rollback()
    if not rollbacks:
        raise UsageProblem(
            what=f"rollback in incident {incident.id}",
            expected="one, that of a rehearsal apart",
            observed="none",
            source=str(incident.folder),
            hint=f"the gate names the incident that closes it: {typed('gate COMMIT')}",
        )
    if ended is None or (incident.folder / UNFINISHED).exists():
        raise UsageProblem(
            what=f"rollback in incident {incident.id}",
            expected="one that has succeeded",
            observed="one that began and did not succeed",
            source=str(incident.folder),
            hint=f"resume it first: {typed('rollback resume')}",
        )
    return ended.finished


def _left(
    target: Target, incident: Incident, rollbacks: Sequence[RolledBack], named: str | None
) -> tuple[str, ...]:
    """Return the commits that the rollbacks of `incident` went back from, each once."""
    repository = target.application.repository
    known: list[str] = []
    unknown = False
    for rollback in rollbacks:
        left = rollback.left(repository)
        unknown = unknown or left is None
        known += left or ()
    if unknown and named is not None:
        commit = resolve_commit(repository, named)
        known += [] if contains(repository, rollbacks[-1].commit, commit) else [commit]
    elif unknown or named is not None:
        raise UsageProblem(
            what=f"commit that incident {incident.id} went back from",
            expected="named by --from, since its record does not say" if unknown else "as its record says",
            observed=named or "not named",
            source=str(incident.folder),
            hint="add --from COMMIT: what was deployed when it began" if unknown else "leave --from out",
        )
    if not known:
        raise UsageProblem(
            what=f"migration that incident {incident.id} rolled back",
            expected=f"a commit that is not in the history of {rollbacks[-1].commit[:12]}, where it went to",
            observed="none: that was deployed already",
            source=str(incident.folder),
            hint="no gate is closed by it, so there is nothing to reopen",
        )
    return tuple(dict.fromkeys(known))


def _require_fix(target: Target, fix: str, left: Sequence[str]) -> None:
    """Refuse a fix that is the rolled-back commit, a part of its history, or the same files again."""
    repository = target.application.repository
    for commit in left:
        if fix == commit:
            observed = "that commit itself"
        elif contains(repository, commit, fix):
            observed = f"{fix[:12]}, which is in its history"
        elif _tree(repository, fix) == _tree(repository, commit):
            observed = f"{fix[:12]}, which has the same files"
        else:
            continue
        raise UsageProblem(
            what=f"fix of {commit[:12]}, which was rolled back",
            expected="another commit, which changes what was wrong",
            observed=observed,
            source=str(repository),
            hint="what was rolled back never comes again: mend it, commit that, and rehearse that commit",
        )


def _tree(repository: Path, commit: str) -> str:
    return git(repository, "rev-parse", "--verify", f"{commit}^{{tree}}")


def _rehearsal(target: Target, fix: str, finished: Moment) -> tuple[Rehearsal, str]:
    """Return the newest rehearsal of `fix`, which passed after `finished`, and the hash of its verdict."""
    place = RehearsalPlace.of(target)
    found = place.search(fix)
    newest = found.newest
    if found.damaged:
        # Whatever it says, it may be newer than the one that can be read.
        newest, observed = None, f"damaged: {listed([str(one) for one in found.damaged])}"
    elif newest is None:
        observed = "none"
    else:
        observed = _wrong_with(newest, finished)
    if newest is None or newest.ending is None or observed:
        raise UsageProblem(
            what=f"rehearsal of the fix, {fix[:12]}",
            expected=f"one of target {place.target} that passed, begun after the rollback ended",
            observed=observed,
            source=str(newest.folder if newest is not None else place.incidents),
            hint=typed(f"rehearse {fix[:12]} --target STAGING-PROFILE"),
        )
    return newest, newest.ending.verdict_sha256


def _wrong_with(rehearsal: Rehearsal, finished: Moment) -> str:
    """Return the fault of a rehearsal, or "" if it passed after `finished`; step 5 judges the same way."""
    ending, name = rehearsal.ending, rehearsal.folder.name
    if rehearsal.broken:
        return f"{name}, whose journal does not hold: {rehearsal.broken}"
    if ending is None:
        return f"{name}, which was cut off, or runs"
    if not rehearsal.verdict_is_recorded:
        return f"{name}, whose verdict.json is not the one that its journal names"
    if {ending.migrated, ending.rolled_back} != {Verdict.PASSED}:
        return f"{name}: the migration {ending.migrated}, its rollback {ending.rolled_back}"
    if rehearsal.began.seconds_since(finished) <= 0:
        return f"{name}, which began {rehearsal.began.wall}; the rollback ended {finished.wall}"
    return ""


def _backup(target: Target, finished: Moment) -> BackupSet:
    """Return the newest backup set, with every byte verified, begun after `finished`."""
    what, expected = "backup set since the rollback", f"one that is whole, begun after {finished.wall}"
    try:
        backup = newest_backup(target.folders.backups, target.name)
        # Checked before it is read, which takes as long as the data is large.
        began = [moments[0] for moments in backup.taken.values()]
        early = next((moment for moment in began if moment.seconds_since(finished) <= 0), None)
        if early is not None or not began:
            observed = f"begun {early.wall}" if early is not None else "one of no store"
            source = str(backup.folder)
            raise UsageProblem(what=what, expected=expected, observed=observed, source=source, hint=AGAIN)
        for name, profile in target.stores.items():
            read_store(backup, name, profile)
    except Mismatch as wrong:
        raise UsageProblem(
            what=what,
            expected=f"{expected}: {wrong.expected}",
            observed=wrong.observed,
            source=str(target.folders.backups),
            hint=AGAIN,
        ) from None
    return backup
