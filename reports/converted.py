"""Events out of records, one by one: a record that is of another shape is a doubt, and the others count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from fixtures.clock import Moment
from fixtures.incident import Incident
from reports.event import Event
from reports.incident_record import OTHER_SHAPE

_Item = TypeVar("_Item")


@dataclass(slots=True)
class Converter:
    """Makes events of the records of `incident`, and collects what could not be read in `doubts`."""

    incident: Incident
    doubts: list[str] = field(default_factory=list)

    def at(self, moment: Moment) -> datetime:
        """Return `moment` in UTC, by the clock that the incident began with where it is of the same boot.

        Raises:
            OverflowError, ValueError: no calendar has it.
        """
        start = self.incident.started
        return datetime.fromisoformat(start.wall) + timedelta(seconds=moment.seconds_since(start))

    def each(
        self, items: Iterable[_Item], convert: Callable[[_Item], Iterable[Event]], source: str
    ) -> Iterator[Event]:
        """Yield the events that `convert` makes of each of `items`, which come from the file `source`."""
        for item in items:
            try:
                events = list(convert(item))
                for event in events:
                    # It took as long as no calendar has, or no number of seconds.
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
