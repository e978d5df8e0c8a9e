"""A target's rollbacks, as its incidents' journals record them: origin and destination of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Unverifiable, UsageProblem
from rollproof.git.repository import contains
from rollproof.home import typed
from rollproof.incident.incident import Incident, Origin
from rollproof.incident.journal import verify_journal, well_formed
from rollproof.incident.rehearsals import BEGAN
from rollproof.record_names import JOURNAL, ROLLBACK, SUPERSEDED, UNFINISHED
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
