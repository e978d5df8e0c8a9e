"""The record that an interrupted rollback leaves for the next run: its wish, its start, its safety copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from fixtures.decision.wish import Kind, Wish
from fixtures.errors import ActionFailed, UsageProblem, reason_of
from fixtures.incident.incident import (
    ROLLBACK,
    UNFINISHED,
    Incident,
    RollbackRecord,
    load_incident,
    target_of_id,
)
from fixtures.incident.origin import Origin
from fixtures.system.clock import Moment
from fixtures.system.record_files import WrongRecord, load_record, read_record, write_record
from fixtures.verdict import Verdict

SUPERSEDED = "superseded.json"  # an unfinished rollback's file once nothing is left to do


@dataclass(frozen=True, slots=True)
class UnfinishedFile:
    """An unfinished rollback as it is written; see `Unfinished`.

    Earlier versions wrote neither kind nor target. The target must be known also when the incident's record
    is damaged.
    """

    commit: str
    started: Moment
    kept: str | None
    kind: Kind = Kind.EMERGENCY
    names: tuple[str, ...] = ()
    target: str | None = None
    baseline: str = ""
    backup: str = ""
    stores: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        """Refuse a rollback that nobody could wish for."""
        if not self.wish.whole:
            raise ValueError(f"{len(self.names)} names of a rollback of kind {self.kind}")

    @property
    def wish(self) -> Wish:
        """The rollback that was asked for."""
        return Wish(self.kind, self.commit, self.names)


@dataclass(frozen=True, slots=True)
class SupersededFile(UnfinishedFile):
    """A rollback that was given up: incident `by` has done its work, or nothing is left to do, and `why`."""

    by: str | None = field(kw_only=True)
    why: str = field(default="", kw_only=True)


@dataclass(slots=True)
class Unfinished:
    """A rollback that has begun; `kept` is its safety copy, or None before that is whole.

    `baseline` and `backup` are folder names, `stores` the stores that go back: a resumed rollback uses the
    ones that it began with. `windows` are its sealed lost windows, the oldest first, by their folders' names.
    `records` counts what became of the records, once every store is restored and accounted for. From then on
    nothing is restored again, since the application may have been started. `origin` is the deployed version
    when the rollback first began, or None if unknown.
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
        """Return the unfinished rollback of `incident` if it matches `wish`, or begin one."""
        found = read_unfinished(incident)
        if found is not None and found.wish == wish:
            return found
        unfinished = cls(incident, wish, baseline, Moment.now(), None, backup, stores, origin=origin)
        # An earlier rollback's result in this incident no longer holds from here on.
        _put_by(incident)
        incident.reopen()
        unfinished._write()
        return unfinished

    def keep(self, folder: Path) -> None:
        """Record that the stores' earlier data is kept in `folder`, complete."""
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
        """Record that its restored data is no longer there: when resumed, it restores every store again."""
        self.records = None
        self._write()

    def end(self) -> None:
        """Record that there is nothing left to do."""
        (self.incident.folder / UNFINISHED).unlink()

    def supersede(self, by: Incident) -> None:
        """Record that another incident's rollback has done this one's work; this one stays not passed."""
        self._give_up(by=by.id)

    def write_off(self, why: str) -> None:
        """Record that nothing is left to resume, and `why`; the rollback stays not passed."""
        self._give_up(by=None, why=why)

    def _give_up(self, by: str | None, why: str = "") -> None:
        if self.incident.rollback() is None:
            now = Moment.now()
            self.incident.write_rollback(self.outcome(Verdict.FAILED, now))
        record = self._record()
        facts = {one.name: getattr(record, one.name) for one in fields(record)}
        write_record(self.incident.folder / SUPERSEDED, SupersededFile(**facts, by=by, why=why))
        self.end()

    def outcome(self, verdict: Verdict, finished: Moment) -> RollbackRecord:
        """Return the record of the rollback's end."""
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
            baseline=self.baseline,
        )

    def _record(self) -> UnfinishedFile:
        return UnfinishedFile(
            commit=self.wish.commit,
            started=self.started,
            kept=str(self.kept) if self.kept else None,
            kind=self.wish.kind,
            names=self.wish.names,
            target=self.incident.target,
            baseline=self.baseline,
            backup=self.backup,
            stores=self.stores,
            windows=self.windows,
            records=self.records,
            origin=self.origin,
        )

    def _write(self) -> None:
        path = self.incident.folder / UNFINISHED
        try:
            write_record(path, self._record())
        except OSError as error:
            raise ActionFailed(
                what="record of the unfinished rollback",
                expected="a file that can be written",
                observed=reason_of(error),
                source=str(path),
                hint="make room in the incidents folder, or correct its permissions, then resume",
            ) from None


def unfinished_of(incidents: Path, target: str) -> list[Unfinished]:
    """Return the rollbacks of `target` that began and did not succeed, the newest first.

    Raises:
        UsageProblem: a record, or an incident's record, cannot be read, and may be of this target.
    """
    found: list[Unfinished] = []
    for path in incidents.glob(f"*/{UNFINISHED}"):
        incident = incident_of_unfinished(path, target)
        if incident is not None and not incident.closed:
            found += filter(None, [_read(path, incident)])
    return sorted(found, key=lambda one: (one.started.wall, one.incident.id), reverse=True)


def read_unfinished(incident: Incident) -> Unfinished | None:
    """Return the rollback of `incident` that did not succeed, or None.

    Raises:
        UsageProblem: its record cannot be read.
    """
    path = incident.folder / UNFINISHED
    return _read(path, incident)


def interrupted(incidents: Path, target: str, wish: Wish) -> Unfinished | None:
    """Return the newest unfinished rollback of `target` with the same `wish`, or None."""
    return next((one for one in unfinished_of(incidents, target) if one.wish == wish), None)


def refuse_over_half_restored(incidents: Path, target: str, wish: Wish) -> None:
    """Refuse a rollback that would start the application on data that another rollback has half restored.

    Raises:
        UsageProblem: it names the other rollback's incident.
    """
    for one in unfinished_of(incidents, target):
        if one.wish.restores_data and one.wish != wish and not wish.covers(one.wish):
            raise UsageProblem(
                what=f"data of {target}",
                expected="none that is half restored",
                observed=f"the rollback {one.wish} of incident {one.incident.id} did not succeed",
                source=str(one.incident.folder / UNFINISHED),
                hint="resume it (rollback resume), or roll back every store (rollback emergency)",
            )


def refuse_beside_unfinished(incidents: Path, target: str, wish: Wish, incident: str) -> None:
    """Refuse a rollback in an incident where another one did not succeed: that one would be forgotten.

    Raises:
        UsageProblem: it names the other rollback.
    """
    for one in unfinished_of(incidents, target):
        if one.incident.id == incident and one.wish != wish:
            raise UsageProblem(
                what=f"incident of the rollback {wish}",
                expected="one without another rollback that began and did not succeed",
                observed=f"{incident}, where {one.wish} did not succeed",
                source="--incident",
                hint="leave --incident out, or resume that one first (rollback resume)",
            )


def supersede_covered(incidents: Path, target: str, wish: Wish, by: Incident) -> list[str]:
    """End the unfinished rollbacks that `wish`, which succeeded in `by`, covers; return their incidents' ids.

    Otherwise `rollback resume` would restore old data over newer data.
    """
    covered = [
        one for one in unfinished_of(incidents, target) if one.incident.id != by.id and wish.covers(one.wish)
    ]
    for one in covered:
        one.supersede(by)
    return [one.incident.id for one in covered]


def unsettle_others(incidents: Path, target: str, by: Incident) -> list[str]:
    """Make the other unfinished rollbacks forget that they have restored; return their incidents' ids.

    The rollback in `by` is about to overwrite the restored data. Otherwise another one, when resumed, would
    start the application on data that `by` has restored, perhaps only in part.
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
    """Refuse to take the current state for a good one while a rollback of `target` has not succeeded.

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
    """Return True if the rollback of `record`, the last one of `incident`, left nothing to resume.

    Also true when records are not accounted for: a repeated rollback would find none of the missing records,
    and would overwrite newer data.
    """
    if record.verdict == Verdict.PASSED:
        return True
    records = record.records or {}
    unsettled = any(records.get(name) for name in ("unaccounted", "unknown"))
    return unsettled and not ((incident.folder / UNFINISHED).exists() or _superseded(incident, record))


def _superseded(incident: Incident, record: RollbackRecord) -> bool:
    """Return True if the rollback of `record` is the given-up one of `incident`: see `SUPERSEDED`."""
    try:
        return load_record(SupersededFile, incident.folder / SUPERSEDED).started == record.started
    except FileNotFoundError:
        return False
    except (OSError, WrongRecord):
        return True  # not known which one it was


def _put_by(incident: Incident) -> None:
    """Make room for the next rollback's result; the record of an earlier completed rollback is kept."""
    try:
        record = incident.rollback()
    except UsageProblem:
        record = None
    if record is not None and left_nothing(incident, record):
        incident.set_rollback_aside()
    else:
        (incident.folder / ROLLBACK).unlink(missing_ok=True)


def incident_of_unfinished(path: Path, target: str) -> Incident | None:
    """Return the incident that holds the unfinished rollback `path`, or None if it is not of `target`.

    Raises:
        UsageProblem: the incident's record is damaged or gone, and the rollback is of `target`, or may be.
    """
    folder = path.parent
    if not (folder / "incident.json").exists() and _target_of(path) != target:
        return None  # the folder is not an incident
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
            hint=f"put that file back from a copy, then resume (rollback resume); or move {folder} out of"
            f" {folder.parent}, and roll {owner or 'its target'}, which may be half restored, back again"
            " (rollback emergency)",
        ) from None
    return incident if incident.target == target else None


def _target_of(path: Path) -> str | None:
    """Return the target of the unfinished rollback `path`, from the file or its folder's name."""
    try:
        owner = load_record(dict[str, object], path).get("target")
    except (OSError, WrongRecord):
        owner = None
    # Records of earlier versions do not name the target.
    return owner if isinstance(owner, str) else target_of_id(path.parent.name)


def _read(path: Path, incident: Incident) -> Unfinished | None:
    found = read_record(
        UnfinishedFile,
        path,
        what="record of an unfinished rollback",
        expected="readable JSON with its commit",
        hint="move that file away to start over in a new incident",
    )
    if found is None:
        return None
    kept = Path(found.kept) if found.kept else None
    return Unfinished(
        incident=incident,
        wish=found.wish,
        baseline=found.baseline,
        started=found.started,
        kept=kept if kept is not None and kept.is_dir() else None,
        backup=found.backup,
        stores=found.stores,
        windows=found.windows,
        records=found.records,
        origin=found.origin,
    )
