"""Phase 4, 5-10 min: every collection of every store holds what the baseline says, by its policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from fixtures.baseline import Baseline, RecordedStore
from fixtures.errors import Mismatch, Unverifiable
from fixtures.policy import policy_of
from fixtures.target import Target

pytestmark = [pytest.mark.verification, pytest.mark.phase4]


def test_collection_count(
    collection: str,
    baseline: Baseline,
    target: Target,
    live_counts: Callable[[str], Mapping[str, int]],
    evidence: Callable[[str, str], None],
) -> None:
    """The collection holds as many records as before; where its policy is `grows`, not fewer."""
    store, name = collection.split("/", 1)
    recorded = baseline.facts.stores[store].counts[name]
    policy = policy_of(target.stores[store], name)
    counts = live_counts(store)
    evidence(
        "count", f"{collection}: baseline {recorded}, now {counts.get(name, 'missing')}, policy {policy}"
    )
    if name not in counts:
        raise Mismatch(
            what=f"collection {name} of {store}",
            expected=f"{recorded} records, policy {policy}",
            observed="no such collection",
            source=store,
            hint="it was dropped or renamed: restore it from the backup",
        )
    right = {"exact": counts[name] == recorded, "grows": counts[name] >= recorded, "volatile": True}[policy]
    if not right:
        raise Mismatch(
            what=f"records in {name} of {store}",
            expected=f"{recorded}{' or more' if policy == 'grows' else ''}",
            observed=f"{counts[name]} ({counts[name] - recorded:+d})",
            source=f"exact count, policy {policy}",
            hint="restore the collection, or set its policy in the profile if it may change",
        )


def test_store_holds_no_unrecorded_collection(
    store: str, recorded_store: RecordedStore, live_counts: Callable[[str], Mapping[str, int]]
) -> None:
    """The store has no collection that it did not have: a left-over of the migration."""
    extra = sorted(set(live_counts(store)) - set(recorded_store.counts))
    if extra:
        raise Mismatch(
            what=f"collections of {store} that the baseline does not know",
            expected="none",
            observed=", ".join(extra[:20]) + (f" and {len(extra) - 20} more" if len(extra) > 20 else ""),  # noqa: PLR2004
            source=store,
            hint="the migration made them: remove them when their records are kept elsewhere",
        )


def test_store_was_compared(store: str, recorded_store: RecordedStore) -> None:
    """The baseline holds records of the store; comparing nothing with nothing proves nothing."""
    if not sum(recorded_store.counts.values()):
        raise Unverifiable(
            what=f"records of {store} in the baseline",
            expected="at least 1",
            observed="0",
            source="baseline",
            hint="capture a baseline of the store with its data, or take the store out of the profile",
        )
