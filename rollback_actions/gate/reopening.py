"""The reopening of a rolled-back migration for its fix: the conditions are verified, and it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollback_actions.session.session import sealed_journal
from rollproof.git.repository import resolve_commit
from rollproof.incident.incident import Incident, incident_of, load_incident
from rollproof.incident.reopening import REOPENED, Reopening, read_reopenings, reopening_journal, since
from rollproof.incident.rollbacks import RolledBack, rollbacks_in
from rollproof.planning.reopening_conditions import (
    backup_since,
    end_of,
    left_by,
    rehearsal_of,
    require_fix,
    require_text,
)
from rollproof.profile.profile import Target
from rollproof.system.file_lock import file_lock
from rollproof.system.holder import Holder

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
class RecordedReopening:
    """The reopening as it is recorded now; `new` is False if it was recorded before."""

    reopening: Reopening
    new: bool


def reopen(target: Target, request: Request, say: Callable[[str], None]) -> RecordedReopening:
    """Record that an incident's rolled-back change may come again with a fix, unless it is recorded already.

    Raises:
        UsageProblem: a condition of a reopening is not met. `Problem`: a record cannot be read.
    """
    for what, text in (("root cause", request.root_cause), ("engineer who reopens", request.name)):
        require_text(what, text)
    # The incident's folder is accepted too, since the other commands print it.
    incidents, name = target.folders.incidents, Path(request.incident).name
    incident = incident_of(incidents, target.name, name) or load_incident(incidents / name)
    rollbacks = rollbacks_in(incident)
    finished = end_of(incident, rollbacks)
    left = left_by(target, incident, rollbacks, request.rolled_back)
    fix = resolve_commit(target.application.repository, request.fix)
    require_fix(target, fix, left)
    lock = incident.folder.with_name(f".{incident.id}.reopening.lock")
    with (
        file_lock(lock, f"reopen {incident.id}", wait_seconds=_WAIT_SECONDS),
        sealed_journal(target, reopening_journal(incident), "reopen", say) as journal,
    ):
        recorded = _recorded(incident, rollbacks, fix)
        if recorded is not None:
            return RecordedReopening(recorded, new=False)
        rehearsal, verdict_sha256 = rehearsal_of(target, fix, finished)
        backup = backup_since(target, finished)
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
        return RecordedReopening(read_reopenings(incident)[-1], new=True)


def _recorded(incident: Incident, rollbacks: Sequence[RolledBack], fix: str) -> Reopening | None:
    """Return the reopening for `fix` that was recorded after the last rollback of `incident`, or None."""
    found = [one for one in since(read_reopenings(incident), rollbacks[-1]) if one.fix == fix]
    return found[-1] if found else None
