"""The conditions of reopening a rolled-back migration for its fix.

Whichever is not met is a `UsageProblem` with what to do for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollproof.backups.kept_backups import backup_hint
from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.sets import BackupSet
from rollproof.errors import Mismatch, UsageProblem, listed
from rollproof.git.repository import contains, git, resolve_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident
from rollproof.incident.rehearsals import Rehearsal, RehearsalPlace
from rollproof.incident.rollbacks import RolledBack
from rollproof.profile.profile import Target
from rollproof.record_names import UNFINISHED
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


def end_of(incident: Incident, rollbacks: Sequence[RolledBack]) -> Moment:
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


def left_by(
    target: Target, incident: Incident, rollbacks: Sequence[RolledBack], named: str | None
) -> tuple[str, ...]:
    """Return the commits that the rollbacks of `incident` went back from, each once."""
    repository = target.application.repository
    lefts = [rollback.left(repository) for rollback in rollbacks]
    unknown = None in lefts
    if unknown is (named is None):
        raise UsageProblem(
            what=f"commit that incident {incident.id} went back from",
            expected="named by --from, since its record lacks it" if unknown else "as its record has it",
            observed=named or "not named",
            source=str(incident.folder),
            hint="add --from COMMIT: what was deployed when it began" if unknown else "leave --from out",
        )
    known = [commit for left in lefts for commit in left or ()]
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


def require_fix(target: Target, fix: str, left: Sequence[str]) -> None:
    """Refuse a fix that is the rolled-back commit, a part of its history, or the same files again."""
    repository = target.application.repository
    for commit in left:
        same = git(repository, "rev-parse", f"{fix}^{{tree}}") == git(
            repository, "rev-parse", f"{commit}^{{tree}}"
        )
        if same or contains(repository, commit, fix):
            raise UsageProblem(
                what=f"fix of {commit[:12]}, which was rolled back",
                expected="another commit, which changes what was wrong",
                observed=f"{fix[:12]}, which {'has the same files' if same else 'is in its history'}",
                source=str(repository),
                hint="mend it, commit, and rehearse the new commit: the rolled-back one stays refused",
            )


def rehearsal_of(target: Target, fix: str, finished: Moment) -> tuple[Rehearsal, str]:
    """Return the newest rehearsal of `fix`, which passed after `finished`, and the hash of its verdict."""
    place = RehearsalPlace.of(target)
    found = place.search(fix)
    newest, fault = found.newest, "none"
    if found.damaged:
        # Whatever it records, it may be newer than the one that can be read.
        newest, fault = None, f"damaged: {listed(found.damaged)}"
    elif newest is not None:
        fault = newest.fault()
        if not fault and newest.began.seconds_since(finished) <= 0:
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


def backup_since(target: Target, finished: Moment) -> BackupSet:
    """Return the newest backup set, begun after `finished`; the gate reads every byte of it."""
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
