"""The moments that other pictures mark: assessments, decisions, and the rollback's two ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fixtures.monitoring.severity import Severity
from reports.incident.event import Kind
from reports.timeline.timeline import Timeline

MOST = 10
"""Number of moments' names that have room above a picture."""
# Ranks: the lowest are shown first if there are more moments than room.
_ROLLBACK, _DECISION, _ASSESSMENT, _AGREEMENT = range(4)


@dataclass(frozen=True, slots=True)
class Marked:
    """A moment and a few words for it; a low `rank` marks moments that the others need to make sense."""

    at: datetime
    name: str
    rank: int


def moments_of(timeline: Timeline) -> list[Marked]:
    """Return all moments of `timeline` that pictures mark, in order; each name once per second."""
    found = sorted(_found(timeline), key=lambda marked: marked.at)
    seconds = {(f"{marked.at:%Y%m%d%H%M%S}", marked.name): marked for marked in reversed(found)}
    return list(reversed(seconds.values()))


def foremost(marked: Sequence[Marked]) -> list[Marked]:
    """Return the moments of `marked` that have room, in their order."""
    ranked = sorted(range(len(marked)), key=lambda number: (marked[number].rank, number))
    return [marked[number] for number in sorted(ranked[:MOST])]


def _found(timeline: Timeline) -> Iterator[Marked]:
    severity: Severity | None = None
    assessed = False
    for event in timeline.events:
        match event.kind:
            case Kind.DEPLOYMENT:
                yield Marked(event.at, "deployed", _DECISION)
            case Kind.ASSESSMENT if not assessed or event.severity is not severity:
                assessed, severity = True, event.severity
                name = f"assessed: {severity}" if severity is not None else "assessed"
                yield Marked(event.at, name, _ASSESSMENT)
            case Kind.DECISION if event.severity is not None:
                yield Marked(event.at, "decided", _DECISION)
            case Kind.DECISION:
                yield Marked(event.at, "agreed", _AGREEMENT)
            case Kind.ROLLBACK if event.seconds is not None:
                yield Marked(event.at, "rollback begins", _ROLLBACK)
                yield Marked(event.ends, f"rollback {event.verdict or 'ends'}", _ROLLBACK)
            case _:
                pass
    ends = [event.ends for event in timeline.events if event.kind is Kind.PHASE and event.seconds is not None]
    if ends:
        yield Marked(max(ends), "checks end", _DECISION)
