"""The record that an interrupted rollback leaves for the next run: request, start, safety copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rollproof.errors import ActionFailed, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, Origin, RollbackRecord, load_incident
from rollproof.incident.journal import JournalEvent, Step, id_of, read_journal
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.record_names import JOURNAL, SUPERSEDED, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.files import remove_file
from rollproof.system.record_files import LEFT_OUT, read_record, write_record
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class UnfinishedFile:
    """An unfinished rollback as it is written.

    `copies` are the folders of its safety copies, the oldest first: the first one is of all its stores, those
    of later runs are of stores that may have been written to since. `baseline` and `backup` are folder names,
    `stores` the stores that go back: a resumed rollback uses the ones that it began with. `windows` are its
    complete lost windows, the oldest first, by their folders' names. `records` counts what became of the
    records, once every store is restored and accounted for. From then on nothing is restored again, since
    the application may have been started. `blind` are the restored stores where a writer may have been
    unseen, each with the reason. `origin` is the deployed version when the rollback first began, or None if
    unknown.
    """

    commit: str
    started: Moment
    kind: RollbackKind
    names: tuple[str, ...] = ()
    baseline: str = ""
    backup: str = ""
    stores: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    origin: Origin | None = None
    copies: tuple[str, ...] = ()
    blind: Mapping[str, str] = field(default_factory=dict, metadata=LEFT_OUT)

    def __post_init__(self) -> None:
        """Refuse names that do not fit the kind."""
        if not self.request.well_formed:
            raise ValueError(f"{len(self.names)} names of a rollback of kind {self.kind}")

    @property
    def request(self) -> RollbackRequest:
        """The rollback that was asked for."""
        return RollbackRequest(self.kind, self.commit, self.names)


@dataclass(frozen=True, slots=True)
class SupersededFile(UnfinishedFile):
    """A rollback that was given up: incident `by` has done its work."""

    by: str = field(kw_only=True)


@dataclass(slots=True)
class Unfinished:
    """A rollback that has begun in `incident`; each change of its `record` is written at once."""

    incident: Incident
    record: UnfinishedFile

    @classmethod
    def begin(
        cls,
        incident: Incident,
        request: RollbackRequest,
        baseline: str = "",
        backup: str = "",
        stores: tuple[str, ...] = (),
        origin: Origin | None = None,
    ) -> Unfinished:
        """Return the unfinished rollback of `incident` if it matches `request`, or begin one."""
        found = read_unfinished(incident)
        if found is not None and found.request == request:
            return found
        record = UnfinishedFile(
            *(request.commit, Moment.now(), request.kind, request.names, baseline, backup, stores),
            origin=origin,
        )
        unfinished = cls(incident, record)
        incident.reopen()
        unfinished._change()
        return unfinished

    @property
    def request(self) -> RollbackRequest:
        """The rollback that was asked for."""
        return self.record.request

    @property
    def copies(self) -> tuple[Path, ...]:
        """Its safety copies, the oldest first; none before the first one is whole."""
        return tuple(map(Path, self.record.copies))

    def keep(self, folder: Path) -> None:
        """Record that the stores' earlier data is kept in `folder`, complete, besides its earlier copies."""
        self._change(copies=(*self.record.copies, str(folder)))

    def seal(self, window: str) -> None:
        """Record that the lost window in the incident's folder `window` is whole."""
        self._change(windows=(*self.record.windows, window))

    def restored(self, records: Mapping[str, int], blind: Mapping[str, str] | None = None) -> None:
        """Record that every store is restored, what became of the records, and where a writer was unseen."""
        self._change(records=records, blind=blind or {})

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

    def end(self) -> None:
        """Record that there is nothing left to do."""
        remove_file(self.incident.folder / UNFINISHED)

    def give_up(self, *, by: Incident) -> None:
        """Record that nothing is left to resume, since `by` has done its work; it is not passed."""
        if self.incident.rollback() is None:
            self.incident.write_rollback(self.outcome(Verdict.FAILED, Moment.now()))
        given_up = SupersededFile(**self._facts(UnfinishedFile), by=by.id)
        write_record(self.incident.folder / SUPERSEDED, given_up)
        self.end()

    def outcome(self, verdict: Verdict, finished: Moment) -> RollbackRecord:
        """Return the record of the rollback's end."""
        facts = self._facts(RollbackRecord)
        return RollbackRecord(**facts, verdict=verdict, seconds=self.worked(), finished=finished)

    def _facts(self, of: type[UnfinishedFile | RollbackRecord]) -> dict[str, Any]:
        """Return what is recorded for the fields of `of` that have the same names."""
        own = {one.name for one in fields(self.record)}
        return {one.name: getattr(self.record, one.name) for one in fields(of) if one.name in own}

    def _change(self, **facts: Any) -> None:  # noqa: ANN401 - fields of the record
        self.record = replace(self.record, **facts)
        path = self.incident.folder / UNFINISHED
        try:
            write_record(path, self.record)
        except OSError as error:
            raise ActionFailed.of_file(
                path,
                error,
                what="record of the unfinished rollback",
                expected="a file that can be written",
                hint="make room in the incidents folder, or correct its permissions, then resume",
            ) from None


def unfinished_of(incidents: Path, target: str) -> list[Unfinished]:
    """Return the rollbacks of `target` that began and did not succeed, the newest first."""
    folders = [path.parent for path in incidents.glob(f"*/{UNFINISHED}")]
    of_target = [one for one in map(load_incident, folders) if one.target == target and not one.closed]
    found = [one for one in map(read_unfinished, of_target) if one is not None]
    return sorted(found, key=lambda one: (one.record.started.wall, one.incident.id), reverse=True)


def read_unfinished(incident: Incident) -> Unfinished | None:
    """Return the rollback of `incident` that did not succeed, or None."""
    found = read_record(
        UnfinishedFile,
        incident.folder / UNFINISHED,
        what="record of an unfinished rollback",
        expected="readable JSON with its commit",
        hint="move that file away to start over in a new incident",
    )
    if found is None:
        return None
    if found.copies and not Path(found.copies[0]).is_dir():
        found = replace(found, copies=())  # somebody has moved it: all is kept again
    return Unfinished(incident, found)


def interrupted(incidents: Path, target: str, request: RollbackRequest) -> Unfinished | None:
    """Return the newest unfinished rollback of `target` with the same `request`, or None."""
    return next((one for one in unfinished_of(incidents, target) if one.request == request), None)


def in_the_way(incidents: Path, target: str, request: RollbackRequest) -> Iterator[UsageProblem]:
    """Yield a refusal for each other unfinished rollback whose data `request` would start the application on.

    It is half restored.
    """
    for one in unfinished_of(incidents, target):
        if one.request.restores_data and not request.covers(one.request):
            yield UsageProblem(
                what=f"data of {target}",
                expected="none that is half restored",
                observed=f"the rollback {one.request} of incident {one.incident.id} did not succeed",
                source=str(one.incident.folder / UNFINISHED),
                hint=f"resume it: {typed('rollback resume')}; or roll back every store:"
                f" {typed('rollback emergency COMMIT')}",
            )


def supersede_covered(incidents: Path, target: str, request: RollbackRequest, by: Incident) -> list[str]:
    """Give up the unfinished rollbacks that `request` in `by` covers; return their incidents.

    A rollback does so before it overwrites data, and when it has succeeded. Otherwise, when resumed, another
    one would restore old data over newer data, or start the application on data that `by` half restored.
    """
    others = [one for one in unfinished_of(incidents, target) if one.incident.id != by.id]
    covered = [one for one in others if request.covers(one.request)]
    for one in covered:
        one.give_up(by=by)
    return [one.incident.id for one in covered]


def refuse_unfinished(incidents: Path, target: str) -> None:
    """Refuse to take the current state for a good one while a rollback of `target` has not succeeded."""
    for one in unfinished_of(incidents, target):
        raise UsageProblem(
            what=f"state of {target}",
            expected="no unfinished rollback",
            observed=f"one in incident {one.incident.id}",
            source=str(one.incident.folder / UNFINISHED),
            hint="run that rollback again; a backup of half-restored data would be taken for a good one",
        )


def left_nothing(incident: Incident, record: RollbackRecord) -> bool:
    """Return True if the rollback of `incident`, which ended as `record` says, left nothing to resume.

    Also true when records are not accounted for: a repeated rollback would find none of the missing records,
    and would overwrite newer data.
    """
    if record.verdict == Verdict.PASSED:
        return True
    records = record.records or {}
    unsettled = any(records.get(name) for name in ("unaccounted", "unknown"))
    return unsettled and not any((incident.folder / name).exists() for name in (UNFINISHED, SUPERSEDED))
