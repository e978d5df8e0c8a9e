"""A target's rollbacks, as its incidents' journals record them: origin and destination of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollproof.errors import Problem, Unverifiable, UsageProblem
from rollproof.git.repository import contains
from rollproof.home import typed
from rollproof.incident.incident import Incident, Origin, incidents_of
from rollproof.incident.journal import verify_journal
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.record_names import JOURNAL, ROLLBACK, SUPERSEDED, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.record_files import WrongRecord, record_of
from rollproof.verdict import Verdict

ROLLBACK_BEGAN = "rollback began"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A rollback to `commit` that began in `incident`, with any result.

    `origin` is the state that it went back from, or None if its record lacks it.
    """

    incident: Incident
    commit: str
    origin: Origin | None
    began: Moment

    def rolled_back(self, repository: Path) -> tuple[str, ...] | None:
        """Return the commits that it went back from, or None if its record lacks them.

        Commits in the history of its destination are left out: they stay deployed.
        """
        if self.origin is None:
            return None
        return tuple(one for one in self.origin.commits if not contains(repository, self.commit, one))


def rollbacks_of(incidents: Path, target: str) -> list[RolledBack]:
    """Return the rollbacks of `target`, except those of rehearsals."""
    return [found for incident in incidents_of(incidents, target) for found in rollbacks_in(incident)]


def rollbacks_in(incident: Incident) -> list[RolledBack]:
    """Return the rollbacks that began in `incident`, oldest first, except a rehearsal's.

    Raises:
        JournalBroken: its journal was edited, truncated or damaged. `Problem`: it cannot be read, or
            lacks the beginning of an unfinished rollback.
    """
    path = incident.folder / JOURNAL
    found: list[RolledBack] = []
    rehearsed = rehearsing = False
    for record in verify_journal(path):
        event = record["event"]
        if event == BEGAN:
            rehearsed = rehearsing = True
        elif event == ENDED:
            rehearsing = False
        elif event == ROLLBACK_BEGAN and not rehearsing:
            found.append(_of_record(incident, record))
    unrecorded = not found and not rehearsed
    if unrecorded and any((incident.folder / name).exists() for name in (ROLLBACK, UNFINISHED)):
        raise Unverifiable(
            what=f"rollback of incident {incident.id}",
            expected="its beginning in the journal, which says what it went back from",
            observed="none",
            source=str(path),
            hint=f"resume it if it is unfinished: {typed('rollback resume')}",
        )
    return found


def went_back(incident: Incident) -> Mapping[str, str]:
    """Return the backup set that each store went back to with the last rollback of `incident` that took it.

    A store of which that rollback failed is left out. There is none where a rollback is unfinished or given
    up, or its record unreadable or without its stores: any store may be half restored.
    """
    if any((incident.folder / name).exists() for name in (UNFINISHED, SUPERSEDED)):
        return {}
    found = dict[str, str]()
    try:
        records = [incident.rollback(name) for name in (*incident.earlier_rollback_names(), ROLLBACK)]
    except UsageProblem:
        return {}
    for record in filter(None, records):
        if record.request.restores_data and not (record.stores and record.backup):
            return {}
        for store in record.stores:
            found.pop(store, None)
            if record.verdict is Verdict.PASSED:
                found[store] = record.backup
    return found


def _of_record(incident: Incident, record: Mapping[str, Any]) -> RolledBack:
    try:
        known = {name: record[name] for name in ("head", "revisions", "commit")}
        origin = record_of(Origin, known, more=True) if known["head"] is not None else None
        return RolledBack(incident, str(known["commit"]), origin, Moment.from_record(record["at"]))
    except (WrongRecord, KeyError) as error:
        raise Problem.of_file(
            incident.folder / JOURNAL,
            error,
            what="record of a rollback's beginning",
            expected="what it went back to, and from",
            hint="read it, and waive the item of the gate that asks for it",
        ) from None
