"""A comparison whose digests others read: no part is left out, and records are read here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollproof.baseline.comparison import Comparison, compare
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.sampling import SamplePlan
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace, RecordHash
from tests.unit.baseline.test_comparison import PART, RECORDS, StandIn, fresh, recorded

__all__ = ["recorded"]
EVERY = tuple(range(RECORDS // PART))


@dataclass
class Others:
    """Others who read what `content` has, but for some parts."""

    content: StandIn
    without: frozenset[int] = frozenset()
    asked: list[int] = field(default_factory=list)
    evidence = "digests by 2 workers"

    def digest(self, parts: Sequence[int]) -> Iterator[tuple[int, Digest]]:
        self.asked += parts
        left = [part for part in parts if part not in self.without]
        yield from self.content.digest("c", (), left, Pace())


def compared(recorded: tuple[RecordedCollection, Path], here: StandIn, others: Others) -> Comparison:
    collection, path = recorded
    # No time at all: a reader of its own would be cut short.
    plan = SamplePlan(EVERY, 0.0)
    return compare(here, "c", collection, path, plan, Pace(), digests=others)  # type: ignore[arg-type]


def test_what_differs_by_the_digests_of_others_is_read_here(
    recorded: tuple[RecordedCollection, Path],
) -> None:
    content = StandIn(fresh())
    content.records_by_key[55] = [RecordHash("055", 9, {"name": 55, "size": 8})]
    others = Others(content)
    comparison = compared(recorded, content, others)
    assert (str(comparison), comparison.evidence) == (
        "0 missing, 0 added, 1 changed (changed 055: size)",
        "digests by 2 workers",
    )
    assert (comparison.coverage.whole, comparison.coverage.cut) == (True, False)
    assert (others.asked, content.read) == ([*EVERY], [5])


def test_with_a_part_left_out_nothing_is_verified(recorded: tuple[RecordedCollection, Path]) -> None:
    content = StandIn(fresh())
    with pytest.raises(Unverifiable, match=r"expected each part that was asked for, once, observed 9 of 10"):
        compared(recorded, content, Others(content, without=frozenset({3})))
