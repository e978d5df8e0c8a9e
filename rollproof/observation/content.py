"""Reading a collection by its baseline: digests part by part, and records only where a digest differs.

So a clean collection costs one scan, and a damaged one little more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from rollproof.baseline.comparison import CollectionComparison, compare_records
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.recording import Coverage, SamplePlan
from rollproof.stores.contract import ByUsers, Digest, Pace, nobody
from rollproof.stores.reader import Reader
from rollproof.stores.snapshot import Snapshot, not_as_asked, read_parts


class Digests(Protocol):
    """Reads the digests of one collection in another way than its reader does, such as by other machines."""

    @property
    def evidence(self) -> str:
        """How they were read, in words for the verdict."""

    def digest(self, parts: Sequence[int]) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts` once, or raise `Unverifiable`: also where time is up."""


def compare(
    content: Reader,
    collection: str,
    recorded: RecordedCollection,
    records: Path,
    plan: SamplePlan,
    pace: Pace,
    by_users: ByUsers = nobody,
    digests: Digests | None = None,
    deletable: Callable[[int], int] = lambda _: 0,
) -> CollectionComparison:
    """Compare the parts that `plan` chose; `records` is the baseline's file with their records.

    Their digests are read by `content`, or by `digests`, which leave no part out. Records of what differs are
    read by `content`. A changed record that users changed themselves, as `by_users` tells, is counted apart.
    `deletable` returns how many of the records that were looked at users may have deleted.

    Raises:
        Unverifiable: the store does not answer, the collection is missing, or its reader does not digest each
            requested part once.
    """
    give_up = time.monotonic() + plan.seconds
    seen, differing, cut = _digested(content, collection, recorded, plan, pace, give_up, digests)
    sizes = [digest.records for digest in recorded.digests]
    unseen = sum(size for part, size in enumerate(sizes) if part not in seen)
    coverage = Coverage(len(sizes), len(seen), sum(sizes), unseen, cut=cut)
    comparison = CollectionComparison(
        coverage,
        evidence=digests.evidence if digests else "",
        by_users=by_users,
        deletable=deletable(coverage.seen),
    )
    # One reading for all parts: what a store has to find out first for any of them is found out once.
    parts = read_parts(content, collection, recorded.division, sorted(differing), pace)
    for position, (part, now) in enumerate(parts):
        # The first differing part is read even when time is up: only a difference with a key helps.
        if position and time.monotonic() > give_up:
            comparison.unread = len(differing) - position
            break
        found, comparison.part = comparison.found, part
        with Snapshot(records) as snapshot:
            compare_records(snapshot.records(collection, part), now, comparison)
        comparison.unexplained += comparison.found == found
    return comparison


def _digested(
    content: Reader,
    collection: str,
    recorded: RecordedCollection,
    plan: SamplePlan,
    pace: Pace,
    give_up: float,
    digests: Digests | None,
) -> tuple[set[int], list[int], bool]:
    """Return the parts that were digested, those that differ, and whether time was up before the last."""
    wanted, seen = set(plan.parts), set[int]()
    differing, cut = [], False
    found = (
        digests.digest(plan.parts)
        if digests
        else content.digest(collection, recorded.division, plan.parts, pace)
    )
    for part, digest in found:
        if part in seen or part not in wanted:
            raise not_as_asked(collection, f"part {part} {'again' if part in seen else 'too'}", content.name)
        seen.add(part)
        if digest != recorded.digests[part]:
            differing.append(part)
        # A plan that takes too long is cut short here, and the coverage says so. One part is always checked.
        if digests is None and time.monotonic() > give_up and seen != wanted:
            cut = True
            break
    if seen != wanted and not cut:
        raise not_as_asked(collection, f"{len(seen)} of {len(wanted)} parts", content.name)
    return seen, differing, cut
