"""What a rollback that was interrupted leaves for the next one: what, since when, and what it has kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.clock import Moment
from fixtures.errors import ActionFailed, UsageProblem
from fixtures.files import canonical_json, read_regular, write_whole
from fixtures.incident import ROLLBACK, UNFINISHED, Incident, RollbackRecord, load_incident, target_of_id
from fixtures.origin import Origin
from fixtures.verdict import Verdict
from rollback_actions.wish import Wish

SUPERSEDED = "superseded.json"  # what an unfinished rollback becomes when a later one has done its work


@dataclass(slots=True)
class Unfinished:
    """A rollback that has begun; `kept` is its safety copy, None as long as that is not whole.

    `baseline` and `backup` are the names of their folders, `stores` those that go back: the rollback goes on
    with what it began with. `windows` are its sealed lost windows, the oldest first, by the names of their
    folders. `records` says what became of the records, once every store is restored and accounted for: from
    then on nothing is restored again, since the application may have been started. `origin` is what was
    deployed when it first began, None where that is not known.
    """

    incident: Incident
    wish: Wish
    baseline: str
    started: Moment
    kept: Path | None
    backup: str = ""
    stores: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    origin: Origin | None = None

    @classmethod
    def begin(
        cls,
        incident: Incident,
        wish: Wish,
        baseline: str = "",
        backup: str = "",
        stores: tuple[str, ...] = (),
        origin: Origin | None = None,
    ) -> Unfinished:
        """Return the unfinished rollback of `incident` that is what `wish` says, or begin one."""
        found = read_unfinished(incident)
        if found is not None and found.wish == wish:
            return found
        unfinished = cls(incident, wish, baseline, Moment.now(), None, backup, stores, origin=origin)
        # What an earlier rollback of this incident ended with is no longer true from here on.
        _put_by(incident)
        incident.reopen()
        unfinished._write()
        return unfinished

    def keep(self, folder: Path) -> None:
        """Record that what was there before is kept in `folder`, complete."""
        self.kept = folder
        self._write()

    def seal(self, window: str) -> None:
        """Record that the lost window in the incident's folder `window` is whole."""
        self.windows = (*self.windows, window)
        self._write()

    def restored(self, records: Mapping[str, int]) -> None:
        """Record that every store is restored, and what became of the records."""
        self.records = records
        self._write()

    def unsettle(self) -> None:
        """Record that what it had restored is no longer there: gone on with, it restores every store anew."""
        self.records = None
        self._write()

    def end(self) -> None:
        """Record that there is nothing left to do."""
        (self.incident.folder / UNFINISHED).unlink()

    def supersede(self, by: Incident) -> None:
        """Record that the rollback of another incident has done what this one had to; it stays not passed."""
        if self.incident.rollback() is None:
            now = Moment.now()
            self.incident.write_rollback(self.outcome(Verdict.FAILED, now))
        record = {**self._record(), "by": by.id}
        write_whole(self.incident.folder / SUPERSEDED, canonical_json(record))
        self.end()

    def outcome(self, verdict: Verdict, finished: Moment) -> RollbackRecord:
        """Return the record of how it ended."""
        return RollbackRecord(
            commit=self.wish.commit,
            verdict=verdict,
            seconds=finished.seconds_since(self.started),
            started=self.started,
            finished=finished,
            kind=self.wish.kind,
            names=self.wish.names,
            records=self.records,
            origin=self.origin,
        )

    def _record(self) -> dict[str, Any]:
        return {
            **self.wish.record(),
            # Whose it is must be known also where the record of the incident is damaged.
            "target": self.incident.target,
            "baseline": self.baseline,
            "started": self.started.record(),
            "kept": str(self.kept) if self.kept else None,
            "backup": self.backup,
            "stores": list(self.stores),
            "windows": list(self.windows),
            "records": None if self.records is None else dict(self.records),
            "origin": None if self.origin is None else self.origin.record(),
        }

    def _write(self) -> None:
        path = self.incident.folder / UNFINISHED
        try:
            write_whole(path, canonical_json(self._record()))
        except OSError as error:
            raise ActionFailed(
                what="record of the unfinished rollback",
                expected="a file that can be written",
                observed=error.strerror or type(error).__name__,
                source=str(path),
                hint="make room in the incidents folder, or correct its permissions, and go on",
            ) from None


def unfinished_of(incidents: Path, target: str) -> list[Unfinished]:
    """Return the rollbacks of `target` that began and did not succeed, the newest first.

    Raises:
        UsageProblem: the record of one, or of its incident, cannot be read, and is not another target's.
    """
    found = []
    for path in incidents.glob(f"*/{UNFINISHED}"):
        incident = incident_of_unfinished(path, target)
        if incident is not None and not incident.closed:
            found.append(_read(path, incident))
    return sorted(found, key=lambda one: (one.started.wall, one.incident.id), reverse=True)


def read_unfinished(incident: Incident) -> Unfinished | None:
    """Return the rollback of `incident` that did not succeed, or None.

    Raises:
        UsageProblem: its record cannot be read.
    """
    path = incident.folder / UNFINISHED
    return _read(path, incident) if path.exists() else None


def interrupted(incidents: Path, target: str, wish: Wish) -> Unfinished | None:
    """Return the newest rollback of `target` that is the same and did not finish, or None."""
    return next((one for one in unfinished_of(incidents, target) if one.wish == wish), None)


def refuse_over_half_restored(incidents: Path, target: str, wish: Wish) -> None:
    """Refuse a rollback that would start the application on data that another one has restored in part.

    Raises:
        UsageProblem: it names the other one's incident.
    """
    for one in unfinished_of(incidents, target):
        if one.wish.restores_data and one.wish != wish and not wish.covers(one.wish):
            raise UsageProblem(
                what=f"data of {target}",
                expected="none that is half restored",
                observed=f"the rollback {one.wish} of incident {one.incident.id} did not succeed",
                source=str(one.incident.folder / UNFINISHED),
                hint="go on with it (rollback resume), or roll back every store (rollback emergency)",
            )


def refuse_beside_unfinished(incidents: Path, target: str, wish: Wish, incident: str) -> None:
    """Refuse a rollback in an incident where another one did not succeed: that would be forgotten.

    Raises:
        UsageProblem: it names that one.
    """
    for one in unfinished_of(incidents, target):
        if one.incident.id == incident and one.wish != wish:
            raise UsageProblem(
                what=f"incident of the rollback {wish}",
                expected="one without another rollback that began and did not succeed",
                observed=f"{incident}, where {one.wish} did not succeed",
                source="--incident",
                hint="leave --incident out, or go on with that one first (rollback resume)",
            )


def supersede_covered(incidents: Path, target: str, wish: Wish, by: Incident) -> list[str]:
    """End the unfinished rollbacks that `wish`, which succeeded in `by`, covers; return their incidents' ids.

    Else `rollback resume` would restore old data over what was written since.
    """
    covered = [
        one for one in unfinished_of(incidents, target) if one.incident.id != by.id and wish.covers(one.wish)
    ]
    for one in covered:
        one.supersede(by)
    return [one.incident.id for one in covered]


def unsettle_others(incidents: Path, target: str, by: Incident) -> list[str]:
    """Have no other unfinished rollback count on what it has restored; return their incidents' ids.

    The one of `by` is about to overwrite that. Else one that is gone on with would start the application on
    what `by` has restored, or restored in part.
    """
    settled = [
        one
        for one in unfinished_of(incidents, target)
        if one.incident.id != by.id and one.records is not None
    ]
    for one in settled:
        one.unsettle()
    return [one.incident.id for one in settled]


def refuse_unfinished(incidents: Path, target: str) -> None:
    """Refuse to take what is there for a good state while a rollback of `target` has not succeeded.

    Raises:
        UsageProblem: it names the incident.
    """
    for path in sorted(incidents.glob(f"*/{UNFINISHED}"), reverse=True):
        if incident_of_unfinished(path, target) is not None:
            raise UsageProblem(
                what=f"state of {target}",
                expected="no rollback that began and did not succeed",
                observed=f"one in incident {path.parent.name}",
                source=str(path),
                hint="run that rollback again; a backup of half-restored data would be taken for a good one",
            )


def left_nothing(incident: Incident, record: RollbackRecord) -> bool:
    """Tell whether the rollback of `record`, the last one of `incident`, left nothing to go on with.

    Also where records are not accounted for: to do it again would find none of those that are missing, and
    overwrite what was written since.
    """
    if record.verdict == Verdict.PASSED:
        return True
    records = record.records or {}
    unsettled = any(records.get(name) for name in ("unaccounted", "unknown"))
    return unsettled and not ((incident.folder / UNFINISHED).exists() or _superseded(incident, record))


def _superseded(incident: Incident, record: RollbackRecord) -> bool:
    """Tell whether the rollback of `record` is the one of `incident` whose work a later one has done."""
    try:
        entry = json.loads(read_regular(incident.folder / SUPERSEDED).decode())
        return Moment.from_record(entry["started"]) == record.started
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True  # which one it was is not known


def _put_by(incident: Incident) -> None:
    """Make room for how the next rollback ends; that an earlier one was done is not forgotten."""
    try:
        record = incident.rollback()
    except UsageProblem:
        record = None
    if record is not None and left_nothing(incident, record):
        incident.set_rollback_aside()
    else:
        (incident.folder / ROLLBACK).unlink(missing_ok=True)


def incident_of_unfinished(path: Path, target: str) -> Incident | None:
    """Return the incident that the unfinished rollback `path` is in, None where it is none of `target`.

    Raises:
        UsageProblem: the incident's record is damaged or gone, and the rollback is of `target`, or may be.
    """
    folder = path.parent
    if not (folder / "incident.json").exists() and _target_of(path) != target:
        return None  # a folder that is no incident
    try:
        incident = load_incident(folder)
    except UsageProblem as problem:
        owner = _target_of(path)
        if owner not in {target, None}:
            return None
        raise UsageProblem(
            what=f"unfinished rollback of {owner or f'a target that cannot be told, perhaps {target}'}",
            expected=str(problem.expected),
            observed=str(problem.observed),
            source=problem.source,
            hint=f"put that file back from a copy, and go on (rollback resume); or move {folder} out of"
            f" {folder.parent}, and roll {owner or 'its target'}, which may be half restored, back anew"
            " (rollback emergency)",
        ) from None
    return incident if incident.target == target else None


def _target_of(path: Path) -> str | None:
    """Return the target that the unfinished rollback `path` is of, as far as it or its folder's name says."""
    try:
        record = json.loads(read_regular(path).decode())
    except (OSError, ValueError, RecursionError):
        record = None
    owner = record.get("target") if isinstance(record, dict) else None
    # Those of earlier versions do not say it.
    return owner if isinstance(owner, str) else target_of_id(path.parent.name)


def _read(path: Path, incident: Incident) -> Unfinished:
    try:
        record = json.loads(read_regular(path).decode())
        kept = Path(record["kept"]) if record["kept"] else None
        return Unfinished(
            incident=incident,
            wish=Wish.of_record(record),
            baseline=str(record.get("baseline", "")),
            started=Moment.from_record(record["started"]),
            kept=kept if kept is not None and kept.is_dir() else None,
            backup=str(record.get("backup", "")),
            stores=tuple(map(str, record.get("stores", ()))),
            windows=tuple(map(str, record.get("windows", ()))),
            records=_counts(record.get("records")),
            origin=Origin.from_record(record.get("origin")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageProblem(
            what="record of an unfinished rollback",
            expected="readable JSON with its commit",
            observed=type(error).__name__,
            source=str(path),
            hint="move that file away to begin the rollback anew in a new incident",
        ) from None


def _counts(record: Mapping[str, Any] | None) -> dict[str, int] | None:
    return None if record is None else {str(name): int(count) for name, count in record.items()}
