"""What a rollback that was interrupted leaves for the next one: since when, and what it has kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fixtures.clock import Moment
from fixtures.errors import UsageProblem
from fixtures.files import canonical_json, write_whole
from fixtures.incident import UNFINISHED, Incident, load_incident


@dataclass(slots=True)
class Unfinished:
    """A rollback to `commit` that has begun; `kept` is its safety copy, None as long as that is not whole."""

    incident: Incident
    commit: str
    started: Moment
    kept: Path | None

    @classmethod
    def begin(cls, incident: Incident, commit: str) -> Unfinished:
        """Return the unfinished rollback to `commit` of `incident`, or begin one."""
        path = incident.folder / UNFINISHED
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["commit"] == commit:
                kept = Path(record["kept"]) if record["kept"] and Path(record["kept"]).is_dir() else None
                return cls(incident, commit, Moment.from_record(record["started"]), kept)
        unfinished = cls(incident, commit, Moment.now(), None)
        # What an earlier rollback of this incident ended with is no longer true from here on.
        for stale in ("rollback.json", "closed.json"):
            (incident.folder / stale).unlink(missing_ok=True)
        unfinished._write()
        return unfinished

    def keep(self, folder: Path) -> None:
        """Record that what was there before is kept in `folder`, complete."""
        self.kept = folder
        self._write()

    def end(self) -> None:
        """Record that there is nothing left to do."""
        (self.incident.folder / UNFINISHED).unlink()

    def _write(self) -> None:
        record = {
            "commit": self.commit,
            "started": self.started.record(),
            "kept": str(self.kept) if self.kept else None,
        }
        write_whole(self.incident.folder / UNFINISHED, canonical_json(record))


def interrupted(incidents: Path, target: str, commit: str) -> str | None:
    """Return the id of the newest incident whose rollback of `target` to `commit` did not finish, or None."""
    for path in sorted(incidents.glob(f"*/{UNFINISHED}"), reverse=True):
        incident = load_incident(path.parent)
        if incident.target != target:
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["commit"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageProblem(
                what="record of an unfinished rollback",
                expected="readable JSON with its commit",
                observed=type(error).__name__,
                source=str(path),
                hint="move that file away to begin the rollback anew in a new incident",
            ) from None
        if not incident.closed and record["commit"] == commit:
            return incident.id
    return None


def refuse_unfinished(incidents: Path, target: str) -> None:
    """Refuse to take what is there for a good state while a rollback of `target` has not succeeded.

    Raises:
        UsageProblem: it names the incident.
    """
    for path in sorted(incidents.glob(f"*/{UNFINISHED}"), reverse=True):
        if load_incident(path.parent).target == target:
            raise UsageProblem(
                what=f"state of {target}",
                expected="no rollback that began and did not succeed",
                observed=f"one in incident {path.parent.name}",
                source=str(path),
                hint="run that rollback again; a backup of half-restored data would be taken for a good one",
            )
