"""Servers that do not answer as they should: silent, not there, or with another secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.scratch_stores import nowhere, silence
from tests.stack.stores.keeping.subject import Place

DEADLINE = 0.4


@contextmanager
def place_that(place: Place, way: str) -> Iterator[Place]:
    """Give `place` with a server that is silent or closed, or locked to its secrets."""
    if way == "locked":
        # It answers, if perhaps after a moment.
        yield place.locked()
    else:
        with (nowhere if way == "closed" else silence)() as at:
            yield place.but(deadline_seconds=DEADLINE).at(at)
