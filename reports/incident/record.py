"""The trusted content of an incident's folder, and in words the parts that cannot be trusted.

Journals are read as far as their hash chain holds; other files as far as their shape is right. A damaged
file raises nothing: a post-mortem is written about incidents that went wrong. `doubts` names the parts that
are missing from the record, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rollproof.errors import Problem, reason_of
from rollproof.incident.incident import (
    CENTURY,
    Closed,
    Incident,
    RollbackRecord,
    StoreAccount,
    load_incident,
)
from rollproof.incident.journal import read_journal
from rollproof.incident.ledger import CheckResult, Planned, Run, RunFacts, runs
from rollproof.incident.limits import bands_of, windows_of
from rollproof.incident.rollbacks import REOPENED, ROLLBACK_BEGAN, reopening_journal
from rollproof.incident.samples import MOST_READ, Sample, sample_of
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.profile.bands import Bands
from rollproof.profile.profile import Signing, Windows
from rollproof.reading import is_torn, lines_of
from rollproof.record_names import (
    ACCOUNTS,
    CLOSED,
    CONTACTS,
    JOURNAL,
    LEDGER,
    LOST_WINDOW,
    RESPONSE,
    ROLLBACK,
    RUN_FACTS,
    RUN_PLAN,
    RUN_RESULTS,
    SAMPLES,
    SUPERSEDED,
    UNFINISHED,
)
from rollproof.sealing.seal import ANYBODY, SealState, seal_state
from rollproof.system.clock import Moment
from rollproof.system.record_files import load_record
from rollproof.team.contact_record import ContactRecord, contact_record_of

# Errors that reading raises for files that are damaged.
OTHER_SHAPE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_TORN = "its last line is torn: a kill cut it off, or it is being written"
_BEAT_SECONDS = 5.0  # the profile's default
_LIMITS = {"objective": "objective_seconds", "rollback": "budget_seconds"}
_Read = TypeVar("_Read")
_Default = TypeVar("_Default")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of checks: its facts (None if a kill came first), its plan and its reported results.

    `windows` and `bands`, with the seconds of a beat, are the profile's, None if the run does not say.
    """

    number: int
    facts: RunFacts | None
    plan: Mapping[str, Planned]
    results: Mapping[str, CheckResult]
    windows: Windows | None
    bands: tuple[Bands, float] | None


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """The record of `incident`. Journals are lists of records, oldest first.

    `rollback` is the rollback, once it has ended. `accounts` gives the fate of each store's records, by lost
    window. `samples` are the monitor's, or those of a response without one, oldest first. `seal` is the
    record compared with its seal.
    """

    incident: Incident
    journal: tuple[Mapping[str, Any], ...]
    response: tuple[Mapping[str, Any], ...]
    contacts: ContactRecord | None
    reopenings: tuple[Mapping[str, Any], ...]
    rollback: RollbackRecord | None
    unfinished: UnfinishedFile | None
    superseded: SupersededFile | None
    closed: Moment | None
    runs: tuple[RecordedRun, ...]
    samples: tuple[Sample, ...]
    accounts: Mapping[str, Mapping[str, StoreAccount]]
    seal: SealState
    doubts: tuple[str, ...]

    def at(self, moment: Moment) -> datetime:
        """Return `moment` in UTC, counted from the incident's start if both are of the same boot."""
        start = self.incident.started
        return datetime.fromisoformat(start.wall) + timedelta(seconds=moment.seconds_since(start))

    def time_of(self, entry: Mapping[str, Any]) -> datetime:
        """Return the time of a journal's record."""
        return self.at(Moment.from_record(entry["at"]))

    def limit(self, name: str) -> float | None:
        """Return the newest recorded limit `name` (objective or rollback) in seconds, or None."""
        begun = (entry for entry in self.journal if entry["event"] == ROLLBACK_BEGAN)
        found = [entry.get(_LIMITS[name]) for entry in begun]
        found += [run.facts.limits.get(name) for run in self.runs if run.facts is not None]
        return next((float(one) for one in reversed(found) if _is_seconds(one)), None)

    @property
    def windows(self) -> Windows:
        """The phases' windows that the newest run recorded, else the runbook's."""
        return next((run.windows for run in reversed(self.runs) if run.windows is not None), Windows())

    @property
    def bands(self) -> tuple[Bands, float]:
        """The bands of severity and the seconds of a beat that the newest run recorded, else the defaults."""
        found = (run.bands for run in reversed(self.runs) if run.bands is not None)
        return next(found, (Bands(), _BEAT_SECONDS))


def read_incident_record(folder: Path, signing: Signing = ANYBODY) -> IncidentRecord:
    """Read the record of the incident in `folder`; nothing outside of the folder is read.

    `signing` says who has to have signed it.
    """
    incident = load_incident(folder.resolve())
    folder = incident.folder
    read = _Reader(folder)
    closed = read.json(CLOSED, Closed)
    contacts = read.journal(CONTACTS)
    lost_windows = sorted(path.name for path in folder.glob(f"{LOST_WINDOW}*") if path.is_dir())
    accounts = {name: read.json(f"{name}/{ACCOUNTS}", dict[str, StoreAccount]) for name in lost_windows}
    seal = seal_state(folder, signing)
    return IncidentRecord(
        incident=incident,
        journal=read.journal(JOURNAL),
        response=read.journal(RESPONSE),
        contacts=read.part(CONTACTS, lambda: contact_record_of(contacts), None) if contacts else None,
        reopenings=tuple(
            entry for entry in read.journal(reopening_journal(incident).name) if entry["event"] == REOPENED
        ),
        rollback=read.part(ROLLBACK, incident.rollback, None),
        unfinished=read.json(UNFINISHED, UnfinishedFile),
        superseded=read.json(SUPERSEDED, SupersededFile),
        closed=closed.closed if closed is not None else None,
        runs=tuple(_run(read, run) for run in runs(folder)),
        samples=read.samples(SAMPLES),
        accounts={name: account for name, account in accounts.items() if account is not None},
        seal=seal,
        # Last: what was read above adds to these.
        doubts=tuple(dict.fromkeys([*read.doubts, *seal.doubts])),
    )


def _run(read: _Reader, run: Run) -> RecordedRun:
    name = f"{LEDGER}/{run.folder.name}"
    facts = read.part(f"{name}/{RUN_FACTS}", run.facts, None)
    plan: dict[str, Planned] = read.part(f"{name}/{RUN_PLAN}", run.plan, {})
    results: dict[str, CheckResult] = read.part(f"{name}/{RUN_RESULTS}", run.results, {})
    read.torn(f"{name}/{RUN_RESULTS}")
    if facts is None or not plan:
        read.doubt(name, "the run was ended before it knew what it would check")
    limits = facts.limits if facts is not None else {}
    return RecordedRun(
        number=run.number,
        facts=facts,
        plan=plan,
        results=results,
        windows=read.part(f"{name}/{RUN_FACTS}", lambda: windows_of(limits), None),
        bands=read.part(f"{name}/{RUN_FACTS}", lambda: bands_of(limits), None),
    )


@dataclass(slots=True)
class _Reader:
    """Reads the files of `folder`, and collects doubts."""

    folder: Path
    doubts: list[str] = field(default_factory=list)

    def part(self, name: str, read: Callable[[], _Read], otherwise: _Default) -> _Read | _Default:
        """Return what `read` returns, or `otherwise`, with a doubt, if the file `name` cannot be read."""
        try:
            return read()
        except Problem as problem:
            self.doubt(name, without_source(problem))
        except OSError as error:
            self.doubt(name, f"it cannot be read: {reason_of(error)}")
        except OTHER_SHAPE as error:
            self.doubt(name, f"it is damaged, or of another shape: {type(error).__name__}: {error}")
        return otherwise

    def json(self, name: str, kind: type[_Read]) -> _Read | None:
        """Return the record in a file; None if the file is missing or of another shape."""
        path = self.folder / name
        return self.part(name, lambda: load_record(kind, path), None) if path.exists() else None

    def journal(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return a journal's records as far as its hash chain holds."""
        path = self.folder / name
        none = list[dict[str, Any]](), None
        records, broken = self.part(name, lambda: read_journal(path), none)
        if broken is not None:
            self.doubt(
                name, f"its hash chain holds for {len(records)} records only: {without_source(broken)}"
            )
        self.torn(name)
        return tuple(records)

    def samples(self, name: str) -> tuple[Sample, ...]:
        """Return the samples in a file; those that are damaged are counted in a doubt."""
        path, samples, damaged = self.folder / name, list[Sample](), 0
        if not path.exists():
            return ()
        # Samples may rightly be many: they are never read whole.
        for line in self.part(name, lambda: list(islice(lines_of(path), MOST_READ)), []):
            try:
                samples.append(sample_of(line))
            except ValueError:
                damaged += 1
        self.torn(name)
        if damaged:
            self.doubt(name, f"{damaged} lines are no samples")
        return tuple(samples)

    def torn(self, name: str) -> None:
        """Doubt a torn last line."""
        path = self.folder / name
        if path.exists() and self.part(name, lambda: is_torn(path), False):
            self.doubt(name, _TORN)

    def doubt(self, name: str, text: str) -> None:
        """Note that a part of the record cannot be trusted."""
        self.doubts.append(f"{name}: {text}")


def without_source(problem: Problem) -> str:
    """Return a problem's text without its source: a copy of the folder then says the same."""
    return f"{problem.what}: expected {problem.expected}, observed {problem.observed}"


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < CENTURY
