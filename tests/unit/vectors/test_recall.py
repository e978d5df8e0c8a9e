"""What searches find: any record at all, and of the nearest ones through an index."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollproof.stores.contract import Neighbours, Recall
from rollproof.stores.vectors import Scanned

GOLDEN = (Neighbours((1.0,), (), ()),)
Hits = Sequence[tuple[str, float]]
EVERY = [(str(number), float(number)) for number in range(30)]


def recall(indexed: Hits, every: Hits = EVERY, golden: Sequence[Neighbours] = GOLDEN) -> Recall | None:
    """Return the recall of a store with the records `every`, of which its index has `indexed`."""

    def search(_: object, limit: int, *, exact: bool = False, without: Sequence[str] = ()) -> Hits:
        return [hit for hit in (every if exact else indexed) if hit[0] not in without][:limit]

    return Scanned.recall(cast("Any", SimpleNamespace(_searcher=lambda _: search)), "files", golden)


@pytest.mark.parametrize(
    ("indexed", "found"),
    [
        (EVERY, Recall(1.0, 1.0)),
        ([], Recall(0.0, 0.0)),
        (EVERY[:5] + EVERY[10:], Recall(0.5, 1.0)),
        (EVERY[:10] + EVERY[18:], Recall(1.0, 0.2)),
        # Others come in the place of those that the index has lost.
        (EVERY[20:], Recall(0.0, 0.0)),
    ],
)
def test_what_an_index_has_lost_is_not_found(indexed: Hits, found: Recall) -> None:
    assert recall(indexed) == found


def test_a_record_as_near_as_the_last_is_as_good() -> None:
    tied = [(key, 1.0 if score > 8 else score) for key, score in EVERY]
    assert recall([*tied[:9], *tied[12:]], tied) == Recall(1.0, 1.0)


def test_a_collection_without_others_has_nothing_to_find_with_a_condition() -> None:
    assert recall(EVERY[:4], EVERY[:4]) == Recall(1.0, 1.0)


def test_a_collection_without_golden_queries_has_none() -> None:
    assert recall(EVERY, golden=()) is None
