"""All that lies in the folder of an incident, as far as it can be trusted, and in words what cannot.

Journals are read as far as their hash chain holds; of other files what has the right shape. Nothing is
raised for a damaged file: a post-mortem is written of incidents that went wrong. `doubts` says what is not
in the record, and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fixtures.clock import Moment
from fixtures.contact_record import CONTACTS, ContactRecord, record_of
from fixtures.errors import Problem
from fixtures.files import read_regular, strict_json
from fixtures.incident import (
    JOURNAL,
    LOST_WINDOW,
    ROLLBACK,
    UNFINISHED,
    Incident,
    RollbackRecord,
    load_incident,
)
from fixtures.journal import head_of, read_journal
from fixtures.kept_samples import SAMPLES
from fixtures.ledger import Planned, Result, Run, runs
from fixtures.reopening import REOPENED, reopening_journal
from fixtures.response_record import RESPONSE, RESPONSE_SAMPLES
from fixtures.rollbacks import ROLLBACK_BEGAN
from fixtures.samples import Sample, sample_of
from reports.checksums import CHECKSUMS, broken_seals

CLOSED, SUPERSEDED = "closed.json", "superseded.json"
ACCOUNTS = "accounting.json"
# What files say that this version did not write, or that were damaged.
OTHER_SHAPE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of checks: when it began, what it planned and what was reported.

    `started` and `zero` are None where it does not say. `limits` are the profile's, by name, empty where an
    earlier version did not write them. `whole` is False where a part of it could not be read.
    """

    number: int
    started: Moment | None
    zero: Moment | None
    gated: bool
    limits: Mapping[str, Any]
    plan: Mapping[str, Planned]
    results: Mapping[str, Result]
    halted: str
    whole: bool


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """What is recorded of `incident`. Journals are lists of records, the oldest first.

    `earlier` are the journals that were broken and set aside, by the names of their files, and
    `earlier_rollbacks` those that ended before the last one began, `rollback`. `accounts` says
    what became of the records of each store, by lost window; `lost_windows` are those folders' names.
    `samples` are those that the first assessment was made from, `kept` those of the monitor, oldest first.
    """

    incident: Incident
    journal: tuple[Mapping[str, Any], ...]
    earlier: Mapping[str, tuple[Mapping[str, Any], ...]]
    response: tuple[Mapping[str, Any], ...]
    contacts: ContactRecord | None
    contact_minutes: Mapping[str, float]
    reopenings: tuple[Mapping[str, Any], ...]
    earlier_rollbacks: Mapping[str, RollbackRecord]
    rollback: RollbackRecord | None
    unfinished: Mapping[str, Any] | None
    superseded: Mapping[str, Any] | None
    closed: Moment | None
    runs: tuple[RecordedRun, ...]
    samples: tuple[Sample, ...]
    kept: tuple[Sample, ...]
    lost_windows: tuple[str, ...]
    accounts: Mapping[str, Mapping[str, Any]]
    doubts: tuple[str, ...]


def read_record(folder: Path) -> IncidentRecord:
    """Return what is recorded in the incident's folder `folder`; nothing outside of it is read.

    Raises:
        UsageProblem: the folder is none of an incident, or its incident.json cannot be read.
    """
    incident = load_incident(folder.resolve())
    return _Reading(incident).record()


@dataclass(slots=True)
class _Reading:
    """Reads file by file, and collects doubts."""

    incident: Incident
    doubts: list[str] = field(default_factory=list)

    def record(self) -> IncidentRecord:
        folder = self.incident.folder
        rollback = self._rollback(ROLLBACK)
        before = self.incident.earlier_rollback_names()
        unfinished = self._json(UNFINISHED, _started)
        journal = self.journal(JOURNAL)
        if not journal and (rollback is not None or unfinished is not None):
            self._doubt(JOURNAL, "a rollback is recorded, and no step of it: what was done is not known")
        if rollback is None and unfinished is None and any(e["event"] == ROLLBACK_BEGAN for e in journal):
            self._doubt(ROLLBACK, "a rollback began, and no file says how it ended or that it did not")
        contacts, minutes = self._contacts()
        for broken in self._part(CHECKSUMS, lambda: list(broken_seals(folder))) or ():
            self._doubt(CHECKSUMS, broken)
        windows = sorted(path.name for path in folder.glob(f"{LOST_WINDOW}*") if path.is_dir())
        accounts = {name: self._json(f"{name}/{ACCOUNTS}", _accounts) for name in windows}
        return IncidentRecord(
            incident=self.incident,
            journal=journal,
            earlier={
                path.name: self.journal(path.name)
                for path in sorted(folder.glob("*-broken-*.jsonl"))
                if path.name.startswith(Path(JOURNAL).stem)
            },
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
            superseded=self._json(SUPERSEDED, _started),
            closed=self._json(CLOSED, lambda record: Moment.from_record(record["closed"])),
            runs=tuple(self._runs()),
            samples=tuple(self._samples(RESPONSE_SAMPLES)),
            kept=tuple(self._samples(SAMPLES)),
            lost_windows=tuple(windows),
            accounts={name: account for name, account in accounts.items() if account is not None},
            doubts=tuple(self.doubts),
        )

    def journal(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return the records of a journal as far as its chain holds."""
        path = self.incident.folder / name
        if not path.exists() and not head_of(path).exists():
            return ()
        try:
            records, broken = read_journal(path)
            text = read_regular(path) if path.exists() else b""
        except Problem as problem:
            self._doubt(name, said(problem))
            return ()
        except OSError as error:
            self._doubt(name, f"it cannot be read: {error.strerror}")
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
            minutes: Any = next((record["minutes"] for record in records if "minutes" in record), "{}")
            found = record_of(records) if records else None
            return found, {str(name): float(value) for name, value in json.loads(minutes).items()}
        except OTHER_SHAPE as error:
            self._doubt(CONTACTS, f"it is of another shape: {_shown(error)}")
            return None, {}

    def _json(self, name: str, read: Callable[[Any], _Read]) -> _Read | None:
        """Return what `read` makes of a file, None where there is none or it is of another shape."""
        path = self.incident.folder / name
        return self._part(name, lambda: read(strict_json(read_regular(path)))) if path.exists() else None

    def _runs(self) -> list[RecordedRun]:
        return [self._run(run) for run in runs(self.incident.folder)]

    def _run(self, run: Run) -> RecordedRun:
        name = f"ledger/{run.folder.name}"
        before = len(self.doubts)
        facts = self._part(f"{name}/run.json", lambda: _facts(run)) or {}
        plan = self._part(f"{name}/plan.json", run.plan) or {}
        results = {result.check: result for result in self._results(run, name)}
        halted = self._part(f"{name}/halted.json", run.halted) or ""
        if not facts:
            self._doubt(f"{name}/run.json", "the run does not say when it began")
        if not plan:
            self._doubt(name, "the run was ended before it knew what it would check")
        return RecordedRun(
            number=run.number,
            started=self._moment(name, facts, "started"),
            zero=self._moment(name, facts, "zero"),
            gated=facts.get("gated") is True,
            limits=facts["limits"] if isinstance(facts.get("limits"), dict) else {},
            plan=plan,
            results=results,
            halted=halted,
            whole=len(self.doubts) == before,
        )

    def _results(self, run: Run, name: str) -> list[Result]:
        self._lines(f"{name}/results.jsonl")
        found = self._part(f"{name}/results.jsonl", run.results)
        return list(found.values()) if found is not None else []

    def _part(self, name: str, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except OSError as error:
            self._doubt(name, f"it cannot be read: {error.strerror}")
        except OTHER_SHAPE as error:
            self._doubt(name, f"it is damaged, or of another shape: {_shown(error)}")
        return None

    def _moment(self, name: str, facts: Mapping[str, Any], key: str) -> Moment | None:
        if not facts:
            return None
        return self._part(f"{name}/run.json", lambda: Moment.from_record(facts[key]))

    def _samples(self, name: str) -> list[Sample]:
        samples, wrong = [], []
        for number, line in enumerate(self._lines(name).split(b"\n")[:-1], start=1):
            try:
                samples.append(sample_of(line))
            except ValueError as error:
                wrong.append(f"line {number} is no sample: {error}")
        if wrong:
            self._doubt(name, f"{wrong[0]}; nor are {len(wrong) - 1} more" if wrong[1:] else wrong[0])
        return samples

    def _lines(self, name: str) -> bytes:
        """Return what stands in a file of lines, b"" where there is none; doubt a last line that is torn."""
        path = self.incident.folder / name
        text = self._part(name, lambda: read_regular(path)) if path.exists() else None
        if text and not text.endswith(b"\n"):
            self._doubt(name, "its last line is torn: a kill cut it off, or it is being written")
        return text or b""

    def _doubt(self, name: str, text: str) -> None:
        doubt = f"{name}: {text}"
        if doubt not in self.doubts:
            self.doubts.append(doubt)


def said(problem: Problem) -> str:
    """Return what a problem says, without where: a copy of the folder says the same of itself."""
    return f"{problem.what}: expected {problem.expected}, observed {problem.observed}"


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _facts(run: Run) -> dict[str, Any]:
    """Return what a run says of itself; {} where it was killed before it did."""
    facts = run.facts()
    if not isinstance(facts, dict):
        raise TypeError("no object")
    return facts


def _has_time(record: Mapping[str, Any]) -> bool:
    try:
        Moment.from_record(record["at"])
    except OTHER_SHAPE:
        return False
    return isinstance(record.get("event"), str)


def _started(record: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever JSON held
    Moment.from_record(record["started"])
    return dict(record)


def _accounts(record: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever JSON held
    return {str(store): dict(account) for store, account in record.items()}
