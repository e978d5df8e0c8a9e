"""The record that an interrupted rollback leaves for the next run: its wish, its start, its safety copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rollproof.backups.sets import is_whole
from rollproof.errors import ActionFailed, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.incident.incident import Incident, RollbackRecord, load_incident, target_of_id
from rollproof.incident.journal import JournalEvent, read_journal
from rollproof.incident.journal_steps import Step, id_of
from rollproof.incident.origin import Origin
from rollproof.monitoring.wish import Kind, Wish
from rollproof.record_names import INCIDENT, JOURNAL, ROLLBACK, SUPERSEDED, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.files import part_of, remove_file
from rollproof.system.record_files import LEFT_OUT, WrongRecord, load_record, read_record, write_record
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class UnfinishedFile:
    """An unfinished rollback as it is written.

    `kept` is the folder of its safety copy, or None before that is whole. `kept_again` are the safety copies
    of its later runs, of stores that may have been written to since. `baseline` and `backup` are folder
    names, `stores` the stores that go back: a resumed rollback uses the ones that it began with. `windows`
    are its sealed lost windows, the oldest first, by their folders' names. `records` counts what became of
    the records, once every store is restored and accounted for. From then on nothing is restored again, since
    the application may have been started. `blind` are the restored stores where a writer may have been
    unseen, each with the reason. `origin` is the deployed version when the rollback first began, or None if
    unknown. `replaced` are the ids of all containers when the application was first started: those that the
    rollback has created since are no more created again. The target must be known also when the incident's
    record is damaged.
    """

    target: str
    commit: str
    started: Moment
    kind: Kind
    names: tuple[str, ...] = ()
    kept: str | None = None
    baseline: str = ""
    backup: str = ""
    stores: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    origin: Origin | None = None
    kept_again: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)
    blind: Mapping[str, str] = field(default_factory=dict, metadata=LEFT_OUT)
    replaced: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)

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


_OF_THE_END = (
    *("commit", "started", "kind", "names", "records", "origin"),
    *("baseline", "backup", "stores", "blind"),
)


@dataclass(slots=True)
class Unfinished:
    """A rollback that has begun in `incident`; each change of its `record` is written at once."""

    incident: Incident
    record: UnfinishedFile

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
        record = UnfinishedFile(
            incident.target,
            wish.commit,
            Moment.now(),
            wish.kind,
            wish.names,
            baseline=baseline,
            backup=backup,
            stores=stores,
            origin=origin,
        )
        unfinished = cls(incident, record)
        # An earlier rollback's result in this incident no longer holds from here on.
        _put_by(incident)
        incident.reopen()
        unfinished._change()
        return unfinished

    @property
    def wish(self) -> Wish:
        """The rollback that was asked for."""
        return self.record.wish

    @property
    def kept(self) -> Path | None:
        """Its first safety copy, or None before that is whole."""
        return Path(self.record.kept) if self.record.kept else None

    @property
    def copies(self) -> tuple[Path, ...]:
        """Its safety copies, the oldest first."""
        return tuple(map(Path, filter(None, (self.record.kept, *self.record.kept_again))))

    def keep(self, folder: Path) -> None:
        """Record that the stores' earlier data is kept in `folder`, complete, besides its earlier copies."""
        if self.record.kept is None:
            self._change(kept=str(folder))
        else:
            self._change(kept_again=(*self.record.kept_again, str(folder)))

    def seal(self, window: str) -> None:
        """Record that the lost window in the incident's folder `window` is whole."""
        self._change(windows=(*self.record.windows, window))

    def restored(self, records: Mapping[str, int], blind: Mapping[str, str] | None = None) -> None:
        """Record that every store is restored, what became of the records, and where a writer was unseen."""
        self._change(records=records, blind=blind or {})

    def starts(self, containers: Iterable[str]) -> None:
        """Record that the application is about to be started, in place of the ids `containers`."""
        if not self.record.replaced:
            self._change(replaced=tuple(containers))

    @property
    def is_restored(self) -> bool:
        """Whether nothing is left but to start the application."""
        replaced = bool(self.record.replaced)
        return self.record.records is not None or (replaced and not self.wish.restores_data)

    def worked(self) -> float:
        """Return the seconds in which a process worked on it; the time until a resumption is left out."""
        seconds, last = 0.0, self.record.started
        for record in read_journal(self.incident.folder / JOURNAL)[0]:
            at, known = Moment.from_record(record["at"]), id_of(record)
            if at.seconds_since(self.record.started) < 0:
                continue
            if not (record["event"] == JournalEvent.STARTED and known and known.step is Step.ROLLBACK):
                seconds += at.seconds_since(last)
            last = at
        return seconds

    def unsettle(self) -> None:
        """Record that its restored data is no longer there: when resumed, it restores every store again."""
        self._change(records=None, replaced=())

    def end(self) -> None:
        """Record that there is nothing left to do."""
        remove_file(self.incident.folder / UNFINISHED)

    def give_up(self, *, by: Incident | None = None, why: str = "") -> None:
        """Record that nothing is left to resume, since `by` has done its work, or `why`; it is not passed."""
        if self.incident.rollback() is None:
            self.incident.write_rollback(self.outcome(Verdict.FAILED, Moment.now()))
        facts = {one.name: getattr(self.record, one.name) for one in fields(self.record)}
        given_up = SupersededFile(**facts, by=by.id if by else None, why=why)
        write_record(self.incident.folder / SUPERSEDED, given_up)
        self.end()

    def outcome(self, verdict: Verdict, finished: Moment) -> RollbackRecord:
        """Return the record of the rollback's end."""
        facts = {name: getattr(self.record, name) for name in _OF_THE_END}
        copies = tuple(map(str, self.copies))
        return RollbackRecord(
            **facts, verdict=verdict, seconds=self.worked(), finished=finished, copies=copies
        )

    def _change(self, **facts: Any) -> None:  # noqa: ANN401 - fields of the record
        self.record = replace(self.record, **facts)
        path = self.incident.folder / UNFINISHED
        try:
            write_record(path, self.record)
        except OSError as error:
            raise ActionFailed(
                what="record of the unfinished rollback",
                expected="a file that can be written",
                observed=reason_of(error),
                source=str(path),
                hint="make room in the incidents folder, or correct its permissions, then resume",
            ) from None


def unfinished_of(incidents: Path, target: str) -> list[Unfinished]:
    """Return the rollbacks of `target` that began and did not succeed, the newest first."""
    found: list[Unfinished] = []
    for path in incidents.glob(f"*/{UNFINISHED}"):
        incident = incident_of_unfinished(path, target)
        if incident is not None and not incident.closed:
            found += filter(None, [_read(path, incident)])
    return sorted(found, key=lambda one: (one.record.started.wall, one.incident.id), reverse=True)


def read_unfinished(incident: Incident) -> Unfinished | None:
    """Return the rollback of `incident` that did not succeed, or None."""
    path = incident.folder / UNFINISHED
    return _read(path, incident)


def interrupted(incidents: Path, target: str, wish: Wish) -> Unfinished | None:
    """Return the newest unfinished rollback of `target` with the same `wish`, or None."""
    return next((one for one in unfinished_of(incidents, target) if one.wish == wish), None)


def in_the_way(incidents: Path, target: str, wish: Wish, incident: str | None) -> Iterator[UsageProblem]:
    """Yield a refusal for each other unfinished rollback that does not let one by `wish` begin in `incident`.

    It would start the application on data that another one has half restored, or make that one forgotten.
    """
    for one in unfinished_of(incidents, target):
        if one.wish == wish:
            continue
        if one.wish.restores_data and not wish.covers(one.wish):
            yield UsageProblem(
                what=f"data of {target}",
                expected="none that is half restored",
                observed=f"the rollback {one.wish} of incident {one.incident.id} did not succeed",
                source=str(one.incident.folder / UNFINISHED),
                hint=f"resume it: {typed('rollback resume')}; or roll back every store:"
                f" {typed('rollback emergency COMMIT')}",
            )
        if one.incident.id == incident:
            yield UsageProblem(
                what=f"incident of the rollback {wish}",
                expected="one without another unfinished rollback",
                observed=f"{incident}, where {one.wish} did not succeed",
                source="--incident",
                hint=f"leave --incident out, or resume that one first: {typed('rollback resume')}",
            )


def supersede_covered(incidents: Path, target: str, wish: Wish, by: Incident) -> list[str]:
    """End the unfinished rollbacks that `wish`, which succeeded in `by`, covers; return their incidents' ids.

    Otherwise `rollback resume` would restore old data over newer data.
    """
    covered = [
        one for one in unfinished_of(incidents, target) if one.incident.id != by.id and wish.covers(one.wish)
    ]
    for one in covered:
        one.give_up(by=by)
    return [one.incident.id for one in covered]


def unsettle_others(incidents: Path, target: str, by: Incident) -> list[str]:
    """Make the other unfinished rollbacks forget that they have restored; return their incidents' ids.

    The rollback in `by` is about to overwrite the restored data. Otherwise another one, when resumed, would
    start the application on data that `by` has restored, perhaps only in part.
    """
    settled = [
        one
        for one in unfinished_of(incidents, target)
        if one.incident.id != by.id and one.record.records is not None
    ]
    for one in settled:
        one.unsettle()
    return [one.incident.id for one in settled]


def refuse_unfinished(incidents: Path, target: str) -> None:
    """Refuse to take the current state for a good one while a rollback of `target` has not succeeded."""
    for path in sorted(incidents.glob(f"*/{UNFINISHED}"), reverse=True):
        if incident_of_unfinished(path, target) is not None:
            raise UsageProblem(
                what=f"state of {target}",
                expected="no unfinished rollback",
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


def _is_there(kept: Path, target: str) -> bool:
    """Return True if the safety copy `kept` is there, if only under the name that it was written under."""
    return kept.is_dir() or is_whole(part_of(kept), target)


def _put_by(incident: Incident) -> None:
    """Make room for the next rollback's result; the record of an earlier completed rollback is kept."""
    try:
        record = incident.rollback()
    except UsageProblem:
        record = None
    if record is not None and left_nothing(incident, record):
        incident.set_rollback_aside()
    else:
        remove_file(incident.folder / ROLLBACK)


def incident_of_unfinished(path: Path, target: str) -> Incident | None:
    """Return the incident that holds the unfinished rollback `path`, or None if it is not of `target`."""
    folder = path.parent
    if not (folder / INCIDENT).exists() and _target_of(path) != target:
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
            hint=f"put that file back from a copy, then: {typed('rollback resume')}; or move {folder} out of"
            f" {folder.parent}, and roll {owner or 'its target'}, which may be half restored, back:"
            f" {typed('rollback emergency COMMIT')}",
        ) from None
    return incident if incident.target == target else None


def _target_of(path: Path) -> str | None:
    """Return the target of the unfinished rollback `path`, from the file or its folder's name."""
    try:
        owner = load_record(dict[str, object], path).get("target")
    except (OSError, WrongRecord):
        owner = None
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
    if found.kept is not None and not _is_there(Path(found.kept), incident.target):
        found = replace(found, kept=None)
    return Unfinished(incident, found)
