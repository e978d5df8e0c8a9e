"""The reopening of a rolled-back migration for its fix, which is recorded with its root cause.

Reopening asks for no rehearsal and no backup: the gate asks for both, of the commit that is promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rollback_actions.session.session import sealed_journal
from rollproof.errors import UsageProblem
from rollproof.git.repository import contains, git, resolve_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident, incident_of, load_incident
from rollproof.incident.rollbacks import (
    REOPENED,
    Reopening,
    RolledBack,
    read_reopenings,
    reopening_journal,
    rollback_in,
)
from rollproof.profile.profile import Target
from rollproof.record_names import UNFINISHED
from rollproof.system.holder import author


def reopen(
    target: Target, wanted: str, fix: str, root_cause: str, engineer: str, say: Callable[[str], None]
) -> Reopening:
    """Record that the rolled-back change of incident `wanted` may return with `fix`; return the record."""
    # The incident's folder is accepted too, since other commands print it.
    incidents, name = target.folders.incidents, Path(wanted).name
    # An unknown id: load_incident raises the error.
    incident = incident_of(incidents, target.name, name) or load_incident(incidents / name)
    rollback = _ended(incident)
    rolled_back = _rolled_back_commits(target, rollback)
    fix = resolve_commit(target.application.repository, fix)
    _require_fix(target, fix, rolled_back)
    with sealed_journal(target, reopening_journal(incident), "reopen", say) as journal:
        journal.write(
            REOPENED,
            target=target.name,
            incident=incident.id,
            fix=fix,
            rolled_back=rolled_back,
            root_cause=root_cause.strip(),
            name=engineer.strip(),
            **author(),
        )
        return read_reopenings(incident)[-1]


def _ended(incident: Incident) -> RolledBack:
    """Return the rollback of `incident`; refuse none, one that is unfinished, and a rehearsal's."""
    rollback = rollback_in(incident)
    if rollback is None or incident.rollback() is None or (incident.folder / UNFINISHED).exists():
        resume = f"resume it first: {typed('rollback resume')}"
        named = f"the gate names the incident that closes it: {typed('gate COMMIT')}"
        raise UsageProblem(
            what=f"rollback in incident {incident.id}",
            expected="one that has succeeded, other than a rehearsal's",
            observed="none" if rollback is None else "one that began and did not succeed",
            source=str(incident.folder),
            hint=named if rollback is None else resume,
        )
    return rollback


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
