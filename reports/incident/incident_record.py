"""Everything in an incident's folder that can be trusted, and in words the parts that cannot.

Journals are read as far as their hash chain holds; other files as far as their shape is right. A damaged
file raises nothing: a post-mortem is written about incidents that went wrong. `doubts` names the parts that
are missing from the record, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from reports.incident.contradictions import RecordedRun, contradictions
from rollproof.errors import Problem, reason_of
from rollproof.incident.incident import (
    Closed,
    Incident,
    RollbackRecord,
    StoreAccount,
    load_incident,
)
from rollproof.incident.journal import read_journal
from rollproof.incident.ledger import BEGUN, Result, Run, runs
from rollproof.incident.reopening import REOPENED, reopening_journal
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.monitoring.samples import MOST_READ, Sample, sample_of
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.profile.profile import Signing
from rollproof.reading import is_torn, lines_of, read_regular
from rollproof.record_names import (
    ACCOUNTS,
    CLOSED,
    CONTACTS,
    JOURNAL,
    LEDGER,
    LOST_WINDOW,
    RESPONSE,
    RESPONSE_SAMPLES,
    RESULTS,
    ROLLBACK,
    RUN_FACTS,
    RUN_PLAN,
    RUN_RESULTS,
    SAMPLES,
    SUPERSEDED,
    UNFINISHED,
)
from rollproof.runbook import PHASES
from rollproof.sealing.seal import ANYBODY, SealState, seal_state
from rollproof.system.clock import Moment
from rollproof.system.record_files import load_record
from rollproof.team.contact_record import ContactRecord, record_of

# Errors that reading raises for files that are damaged, or written by another version.
OTHER_SHAPE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_TORN = "its last line is torn: a kill cut it off, or it is being written"
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """The record of `incident`. Journals are lists of records, oldest first.

    `rollback` is the last rollback, and `earlier_rollbacks` ended before it began. `accounts` gives the fate
    of each store's records, by lost window; `lost_windows` are those folders' names. `samples` are those of
    the first assessment, `kept` those of the monitor, oldest first. `seal` is the record compared with its
    seal.
    """

    incident: Incident
    journal: tuple[Mapping[str, Any], ...]
    response: tuple[Mapping[str, Any], ...]
    contacts: ContactRecord | None
    contact_minutes: Mapping[str, float]
    reopenings: tuple[Mapping[str, Any], ...]
    earlier_rollbacks: Mapping[str, RollbackRecord]
    rollback: RollbackRecord | None
    unfinished: UnfinishedFile | None
    superseded: SupersededFile | None
    closed: Moment | None
    runs: tuple[RecordedRun, ...]
    samples: tuple[Sample, ...]
    kept: tuple[Sample, ...]
    lost_windows: tuple[str, ...]
    accounts: Mapping[str, Mapping[str, StoreAccount]]
    seal: SealState
    doubts: tuple[str, ...]


def read_record(folder: Path, signing: Signing = ANYBODY) -> IncidentRecord:
    """Read the record of the incident in `folder`; nothing outside of the folder is read.

    `signing` says who has to have signed it.

    Raises:
        UsageProblem: the folder holds no incident, or its incident.json cannot be read.
    """
    incident = load_incident(folder.resolve())
    return _Reading(incident, signing).record()


@dataclass(slots=True)
class _Reading:
    """Reads the folder file by file, and collects doubts."""

    incident: Incident
    signing: Signing
    doubts: list[str] = field(default_factory=list)

    def record(self) -> IncidentRecord:
        folder = self.incident.folder
        rollback = self._rollback(ROLLBACK)
        before = self.incident.earlier_rollback_names()
        unfinished = self._json(UNFINISHED, UnfinishedFile)
        journal = self.journal(JOURNAL)
        if not journal and (rollback is not None or unfinished is not None):
            self._doubt(JOURNAL, "a rollback is recorded, and no step of it: what was done is not known")
        if rollback is None and unfinished is None and any(e["event"] == ROLLBACK_BEGAN for e in journal):
            self._doubt(ROLLBACK, "a rollback began, and no file says whether and how it ended")
        contacts, minutes = self._contacts()
        seal = seal_state(folder, self.signing)
        self.doubts += seal.doubts
        recorded = tuple(self._runs())
        for text in self._part(RESULTS, lambda: list(contradictions(folder, recorded))) or ():
            self._doubt(RESULTS, text)
        windows = sorted(path.name for path in folder.glob(f"{LOST_WINDOW}*") if path.is_dir())
        closed = self._json(CLOSED, Closed)
        accounts = {name: self._json(f"{name}/{ACCOUNTS}", dict[str, StoreAccount]) for name in windows}
        return IncidentRecord(
            incident=self.incident,
            journal=journal,
            response=self.journal(RESPONSE),
            contacts=contacts,
            contact_minutes=minutes,
            reopenings=tuple(
                record
                for record in self.journal(reopening_journal(self.incident).name)
                if record.get("event") == REOPENED
            ),
            earlier_rollbacks={name: found for name in before if (found := self._rollback(name)) is not None},
            rollback=rollback,
            unfinished=unfinished,
            superseded=self._json(SUPERSEDED, SupersededFile),
            closed=closed.closed if closed is not None else None,
            runs=recorded,
            samples=tuple(self._samples(RESPONSE_SAMPLES)),
            kept=tuple(self._samples(SAMPLES)),
            lost_windows=tuple(windows),
            accounts={name: account for name, account in accounts.items() if account is not None},
            seal=seal,
            doubts=tuple(self.doubts),
        )

    def journal(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return a journal's records as far as its hash chain holds."""
        path = self.incident.folder / name
        if not path.exists():
            return ()
        try:
            records, broken = read_journal(path)
            text = read_regular(path)
        except Problem as problem:
            self._doubt(name, said(problem))
            return ()
        except OSError as error:
            self._doubt(name, f"it cannot be read: {reason_of(error)}")
            return ()
        torn = len(text) - (text.rfind(b"\n") + 1)
        if torn:
            self._doubt(
                name, f"its last line is torn, {torn} bytes: a kill cut it off, or it is being written"
            )
        if broken is not None:
            lines = text.count(b"\n") - len(records)
            left = f"; {lines} records after that are not trusted" if lines > 0 else ""
            self._doubt(name, f"its hash chain holds for {len(records)} records only: {said(broken)}{left}")
        whole = [record for record in records if _has_time(record)]
        if len(whole) < len(records):
            self._doubt(name, f"{len(records) - len(whole)} records do not say what happened when")
        return tuple(whole)

    def _rollback(self, name: str) -> RollbackRecord | None:
        try:
            return self.incident.rollback(name)
        except Problem as problem:
            self._doubt(name, f"how the rollback ended is not known: {problem.observed}")
        except OverflowError as error:
            self._doubt(name, f"how the rollback ended is not known: {error}")
        return None

    def _contacts(self) -> tuple[ContactRecord | None, Mapping[str, float]]:
        records = self.journal(CONTACTS)
        try:
            minutes: Any = next((record["minutes"] for record in records if "minutes" in record), {})
            found = record_of(records) if records else None
            return found, {str(name): float(value) for name, value in minutes.items()}
        except OTHER_SHAPE as error:
            self._doubt(CONTACTS, f"it is of another shape: {_shown(error)}")
            return None, {}

    def _json(self, name: str, kind: type[_Read]) -> _Read | None:
        """Return the record in a file; None if the file is missing or of another shape."""
        path = self.incident.folder / name
        if not path.exists():
            return None
        return self._part(name, lambda: load_record(kind, path))

    def _runs(self) -> list[RecordedRun]:
        return [self._run(run) for run in runs(self.incident.folder)]

    def _run(self, run: Run) -> RecordedRun:
        name = f"{LEDGER}/{run.folder.name}"
        before = len(self.doubts)
        facts = self._part(f"{name}/{RUN_FACTS}", run.facts)
        plan = self._part(f"{name}/{RUN_PLAN}", run.plan) or {}
        results = {result.check: result for result in self._results(run, name)}
        for phase in PHASES:
            self._part(f"{name}/{BEGUN.format(phase)}", partial(run.begun, phase))
        if facts is None:
            self._doubt(f"{name}/{RUN_FACTS}", "the run does not say when it began")
        if not plan:
            self._doubt(name, "the run was ended before it knew what it would check")
        return RecordedRun(
            number=run.number,
            started=facts.started if facts is not None else None,
            zero=facts.zero if facts is not None else None,
            gated=facts is not None and facts.gated,
            limits=facts.limits if facts is not None else {},
            plan=plan,
            results=results,
            whole=len(self.doubts) == before,
        )

    def _results(self, run: Run, name: str) -> list[Result]:
        self._lines(f"{name}/{RUN_RESULTS}")
        found = self._part(f"{name}/{RUN_RESULTS}", run.results)
        return list(found.values()) if found is not None else []

    def _part(self, name: str, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except OSError as error:
            self._doubt(name, f"it cannot be read: {reason_of(error)}")
        except OTHER_SHAPE as error:
            self._doubt(name, f"it is damaged, or of another shape: {_shown(error)}")
        return None

    def _samples(self, name: str) -> list[Sample]:
        samples, first, count = list[Sample](), "", 0
        path = self.incident.folder / name
        if not path.exists():
            return samples

        # Samples may rightly be many: they are never read whole.
        def read() -> None:
            nonlocal first, count
            for number, line in enumerate(lines_of(path), start=1):
                if number > MOST_READ:
                    self._doubt(name, f"its first {MOST_READ:,} samples are read, and there are more")
                    break
                try:
                    samples.append(sample_of(line))
                except ValueError as error:
                    first = first or f"line {number} is no sample: {error}"
                    count += 1
            if is_torn(path):
                self._doubt(name, _TORN)

        self._part(name, read)
        if count:
            self._doubt(name, f"{first}; nor are {count - 1} more" if count > 1 else first)
        return samples

    def _lines(self, name: str) -> bytes:
        """Return the bytes of a file of lines, b"" if it is missing; doubt a torn last line."""
        path = self.incident.folder / name
        text = self._part(name, lambda: read_regular(path)) if path.exists() else None
        if text and not text.endswith(b"\n"):
            self._doubt(name, _TORN)
        return text or b""

    def _doubt(self, name: str, text: str) -> None:
        doubt = f"{name}: {text}"
        if doubt not in self.doubts:
            self.doubts.append(doubt)


def said(problem: Problem) -> str:
    """Return a problem's text without its source: a copy of the folder then says the same."""
    return f"{problem.what}: expected {problem.expected}, observed {problem.observed}"


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _has_time(record: Mapping[str, Any]) -> bool:
    try:
        Moment.from_record(record["at"])
    except OTHER_SHAPE:
        return False
    return isinstance(record.get("event"), str)
