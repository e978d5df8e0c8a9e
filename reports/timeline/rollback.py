"""The rollback in a timeline: its start or resume, its origin, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports.incident.converted import Converter, line_of
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.incident.limits import is_seconds
from rollproof.incident.incident import RollbackRecord
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.record_names import JOURNAL, ROLLBACK, SUPERSEDED, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

_SHOWN = 12


def ended_rollbacks(record: IncidentRecord) -> dict[str, RollbackRecord]:
    """Return the ended rollbacks by the files that record them, the last one last."""
    last = {} if record.rollback is None else {ROLLBACK: record.rollback}
    return {**record.earlier_rollbacks, **last}


def rollback_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield an event for each beginning and each end of a rollback."""
    begins = [entry for entry in record.journal if entry["event"] == ROLLBACK_BEGAN]

    seen: set[str] = set()

    def began(entry: Mapping[str, Any]) -> list[Event]:
        what = wanted(str(entry["kind"]), tuple(entry["names"]), str(entry["commit"]))
        word = "starts over, or resumes" if what in seen else "begins"
        seen.add(what)
        head = f", from {str(entry['head'])[:_SHOWN]}" if entry.get("head") else ""
        at = converter.at(Moment.from_record(entry["at"]))
        return [Event(at, Kind.ROLLBACK, line_of(f"{what}{head} {word}"), JOURNAL)]

    def ended(named: tuple[str, RollbackRecord]) -> list[Event]:
        name, rollback = named
        what = wanted(rollback.kind, rollback.names, rollback.commit)
        return [
            Event(
                at=converter.at(rollback.started),
                kind=Kind.ROLLBACK,
                text=line_of(f"{what}: {rollback.verdict}"),
                source=name,
                verdict=rollback.verdict,
                seconds=rollback.finished.seconds_since(rollback.started),
                deadline=_budget_of(record, rollback),
            )
        ]

    def not_ended(file: UnfinishedFile) -> list[Event]:
        at = converter.at(file.started)
        return [Event(at, Kind.ROLLBACK, "it has not succeeded", UNFINISHED, Verdict.BROKEN)]

    def superseded(file: SupersededFile) -> list[Event]:
        at = converter.at(file.started)
        # A rollback is superseded by a later one, which is named, or written off, with a reason.
        done = f"incident {file.by} has done what it had to"
        text = line_of(done if file.by is not None else f"it was written off: {file.why}")
        return [Event(at, Kind.ROLLBACK, text, SUPERSEDED)]

    yield from converter.each(begins, began, JOURNAL)
    for named in ended_rollbacks(record).items():
        yield from converter.each([named], ended, named[0])
    yield from converter.each([record.unfinished] if record.unfinished else [], not_ended, UNFINISHED)
    yield from converter.each([record.superseded] if record.superseded else [], superseded, SUPERSEDED)


def wanted(kind: str, names: Sequence[str], commit: str) -> str:
    """Return a rollback's name in words.

    >>> wanted("service", ["api"], "0123456789abcdef")
    'service rollback of api to 0123456789ab'
    """
    of = f" of {', '.join(names)}" if names else ""
    return f"{kind} rollback{of} to {commit[:_SHOWN]}"


def _budget_of(record: IncidentRecord, rollback: RollbackRecord) -> float | None:
    """Return the rollback's time limit from the profile in seconds, or None if it is not recorded."""
    found = [
        entry.get("budget_seconds")
        for entry in record.journal
        if entry["event"] == ROLLBACK_BEGAN
        and rollback.finished.seconds_since(Moment.from_record(entry["at"])) >= 0
    ]
    return next((float(seconds) for seconds in reversed(found) if is_seconds(seconds)), None)
