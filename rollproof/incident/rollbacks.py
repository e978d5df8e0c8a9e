"""A target's rollbacks, as its incidents' journals record them: origin and destination of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollproof.errors import Problem, Unverifiable, UsageProblem
from rollproof.git.repository import contains
from rollproof.home import typed
from rollproof.incident.incident import Incident, Origin
from rollproof.incident.journal import verify_journal
from rollproof.incident.rehearsals import BEGAN
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


def rollback_in(incident: Incident) -> RolledBack | None:
    """Return the rollback that began in `incident`, or None; a rehearsal's is none."""
    path = incident.folder / JOURNAL
    records = verify_journal(path)
    if any(record["event"] == BEGAN for record in records):
        return None
    # Each resumed run repeats the origin of the first.
    if begun := [record for record in records if record["event"] == ROLLBACK_BEGAN]:
        return _of_record(incident, begun[-1])
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
