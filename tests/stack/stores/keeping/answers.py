"""Servers that do not answer as they should: silent, not there, or with another secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.scratch_stores import nowhere, silence
from tests.stack.stores.place import Place
from tests.stack.stores.subject import Subject

DEADLINE = 0.4


def ways_of(subject: Subject) -> tuple[str, ...]:
    """Return the ways in which the server of a subject may not answer."""
    return ("silent", "closed", "locked") if subject.locked else ("silent", "closed")


@contextmanager
def place_that(place: Place, way: str) -> Iterator[Place]:
    """Give `place` with a server that is silent or closed, or locked to its secrets."""
    if way == "locked":
        # It answers, if perhaps after a moment.
        yield place.locked()
    else:
        with (nowhere if way == "closed" else silence)() as at:
            yield place.but(deadline_seconds=DEADLINE).at(at)
