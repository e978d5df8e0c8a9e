"""The conditions of reopening a rolled-back migration for its fix.

Whichever is not met is a `UsageProblem` with what to do for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.newest_backup import newest_backup, read_store
from rollproof.backups.sets import BackupSet
from rollproof.errors import Mismatch, UsageProblem, listed
from rollproof.git.repository import contains, git, resolve_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident, load_incident
from rollproof.incident.rehearsals import Rehearsal, RehearsalPlace
from rollproof.incident.rollbacks import RolledBack
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT, UNFINISHED
from rollproof.system.clock import Moment


def require_text(what: str, text: str) -> None:
    """Refuse an empty `text`."""
    if not text.strip():
        raise UsageProblem(
            what=what,
            expected="some text",
            observed="none",
            source="the command line",
            hint="say why it went wrong, and who says so: --root-cause or --root-cause-file, and --as",
        )


def incident_of(target: Target, name: str) -> Incident:
    """Return the incident `name`, which is one of `target`."""
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


def end_of(incident: Incident, rollbacks: Sequence[RolledBack]) -> Moment:
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


def left_by(
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
            hint="it closes no gate that could be reopened",
        )
    return tuple(dict.fromkeys(known))


def require_fix(target: Target, fix: str, left: Sequence[str]) -> None:
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
            hint="a commit that was rolled back stays refused: mend it, commit, and rehearse the new commit",
        )


def _tree(repository: Path, commit: str) -> str:
    return git(repository, "rev-parse", "--verify", f"{commit}^{{tree}}")


def rehearsal_of(target: Target, fix: str, finished: Moment) -> tuple[Rehearsal, str]:
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
        fault = newest.fault() or _too_early(newest, finished)
        observed = fault and f"{newest.folder.name}, {fault}"
    if newest is None or newest.ending is None or observed:
        raise UsageProblem(
            what=f"rehearsal of the fix, {fix[:12]}",
            expected=f"one of target {place.target} that passed, begun after the rollback ended",
            observed=observed,
            source=str(newest.folder if newest is not None else place.incidents),
            hint=typed(f"rehearse {fix[:12]} --target STAGING-PROFILE"),
        )
    return newest, newest.ending.verdict_sha256


def _too_early(rehearsal: Rehearsal, finished: Moment) -> str:
    if rehearsal.began.seconds_since(finished) > 0:
        return ""
    return f"which began {rehearsal.began.wall}; the rollback ended {finished.wall}"


def backup_since(target: Target, finished: Moment) -> BackupSet:
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
            raise UsageProblem(
                what=what, expected=expected, observed=observed, source=source, hint=backup_hint()
            )
        for name, profile in target.stores.items():
            read_store(backup, name, profile)
    except Mismatch as wrong:
        raise UsageProblem(
            what=what,
            expected=f"{expected}: {wrong.expected}",
            observed=wrong.observed,
            source=str(target.folders.backups),
            hint=backup_hint(),
        ) from None
    return backup
