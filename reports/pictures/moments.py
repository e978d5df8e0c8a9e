"""The moments that other pictures mark: what was assessed and decided, and the rollback's two ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fixtures.severity import Severity
from reports.event import Event, Kind
from reports.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Marked:
    """A moment, and a few words for it."""

    at: datetime
    name: str


def moments_of(timeline: Timeline) -> list[Marked]:
    """Return the moments of `timeline` to be marked, in order; each word once for the same second."""
    found = sorted(_found(timeline), key=lambda marked: marked.at)
    seconds = {(f"{marked.at:%Y%m%d%H%M%S}", marked.name): marked for marked in reversed(found)}
    return list(reversed(seconds.values()))


def _found(timeline: Timeline) -> Iterator[Marked]:
    severity: Severity | None = None
    assessed = False
    for event in timeline.events:
        match event.kind:
            case Kind.DEPLOYMENT:
                yield Marked(event.at, "deployed")
            case Kind.ASSESSMENT if not assessed or event.severity is not severity:
                assessed, severity = True, event.severity
                yield Marked(event.at, f"assessed: {severity}" if severity is not None else "assessed")
            case Kind.DECISION:
                yield Marked(event.at, "decided" if event.severity is not None else "agreed")
            case Kind.ROLLBACK if event.seconds is not None:
                yield Marked(event.at, "rollback begins")
                yield Marked(event.ends, f"rollback {event.verdict or 'ends'}")
            case _:
                pass
    phases = [event for event in timeline.events if event.kind is Kind.PHASE and event.seconds is not None]
    if phases:
        yield _end_of(phases)


def _end_of(phases: list[Event]) -> Marked:
    return Marked(max(event.ends for event in phases), "checks end")
