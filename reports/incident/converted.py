"""Events from records, one by one: a record of another shape becomes a doubt, and the others count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from reports.incident.event import Event
from reports.incident.incident_record import OTHER_SHAPE
from rollproof.incident.incident import Incident
from rollproof.system.clock import Moment

_Item = TypeVar("_Item")


@dataclass(slots=True)
class Converter:
    """Turns the records of `incident` into events, and collects unreadable records in `doubts`."""

    incident: Incident
    doubts: list[str] = field(default_factory=list)

    def at(self, moment: Moment) -> datetime:
        """Return `moment` in UTC, counted from the incident's start if both are of the same boot.

        Raises:
            OverflowError, ValueError: the moment is outside the calendar.
        """
        start = self.incident.started
        return datetime.fromisoformat(start.wall) + timedelta(seconds=moment.seconds_since(start))

    def each(
        self, items: Iterable[_Item], convert: Callable[[_Item], Iterable[Event]], source: str
    ) -> Iterator[Event]:
        """Yield the events that `convert` makes from each of `items`, which come from the file `source`."""
        for item in items:
            try:
                events = list(convert(item))
                for event in events:
                    # Raises for an end outside the calendar, or a duration that is no number.
                    event.ends.astimezone()
            except OTHER_SHAPE as error:
                doubt = f"{source}: a record is of another shape ({type(error).__name__}: {error})"
                if doubt not in self.doubts:
                    self.doubts.append(doubt)
                continue
            yield from events


def line_of(text: object) -> str:
    """Return `text` on one line."""
    return " ".join(str(text).split())
