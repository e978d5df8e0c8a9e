"""Phase 4, 5-10 min: every collection of every store holds what the baseline says, by its policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from fixtures.baseline import Baseline
from fixtures.errors import Mismatch, Unverifiable, listed
from fixtures.evidence import CSV, Saw, table
from fixtures.neighbours import neighbours_text, same_neighbours
from fixtures.policy import policy_of
from fixtures.recorded import RecordedContent, RecordedStore, whole_digest
from fixtures.references import require_whole
from fixtures.rounds import Wrong, answer_of
from fixtures.schemas import schema_differences
from fixtures.stores.content import Json, MovingContent, Neighbours
from fixtures.stores.view import StoreView
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.comparison import Comparison

SHOWN = 20
pytestmark = [pytest.mark.verification, pytest.mark.phase4]


def test_collection_count(
    collection: str,
    baseline: Baseline,
    target: Target,
    live_counts: Callable[[str], Mapping[str, int]],
    saw: Saw,
) -> None:
    """The collection holds as many records as before; where its policy is `grows`, not fewer."""
    store, name = collection.split("/", 1)
    recorded = baseline.facts.stores[store].counts[name]
    policy = policy_of(target.stores[store], name)
    counts = live_counts(store)
    saw(f"{recorded} records, policy {policy}", counts.get(name, "no such collection"))
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
    store: str, recorded_store: RecordedStore, live_counts: Callable[[str], Mapping[str, int]], saw: Saw
) -> None:
    """The store has no collection that it did not have: a left-over of the migration."""
    extra = sorted(set(live_counts(store)) - set(recorded_store.counts))
    saw("no collection that the baseline does not know", listed(extra) or "none")
    if extra:
        raise Mismatch(
            what=f"collections of {store} that the baseline does not know",
            expected="none",
            observed=listed(extra),
            source=store,
            hint="the migration made them: remove them when their records are kept elsewhere",
        )


def test_collection_content(
    content: str,
    comparison_of: Callable[[str], Comparison],
    baseline: Baseline,
    target: Target,
    evidence: Callable[[str, str, str], None],
    saw: Saw,
    note: Callable[[str], None],
) -> None:
    """Every record of the collection is what it was; where its policy is `grows`, more may be there."""
    store, name = content.split("/", 1)
    policy = policy_of(target.stores[store], name)
    comparison = comparison_of(content)
    saw(f"the records of the baseline, policy {policy}", f"{comparison} differs; {comparison.coverage}")
    rows = list(comparison.rows())
    if rows:
        evidence("differences", table(("difference", "record", "fields"), rows), CSV)
    excluded = baseline.facts.contents[store].collections[name].excluded
    if excluded:
        note(f"{content}: not compared, as the profile says: {', '.join(excluded)}")
    if not comparison.coverage.whole:
        note(f"{content}: {comparison.coverage}")
    if comparison.wrong(policy):
        raise Mismatch(
            what=f"records of {name} of {store}",
            expected=f"those of the baseline, policy {policy}",
            observed=str(comparison),
            source=str(comparison.coverage),
            hint="restore the collection, or set its policy in the profile if it may change",
        )


def test_schema(
    schema: str,
    baseline: Baseline,
    live_schemas: Callable[[str], Mapping[str, Json]],
    saw: Saw,
    evidence: Callable[[str, str, str], None],
) -> None:
    """What the records live in, such as columns, indexes, validators and settings, is what it was."""
    store, name = schema.split("/", 1)
    schemas = live_schemas(store)
    if name not in schemas:
        raise Mismatch(
            what=f"{name} of {store}",
            expected="there, as in the baseline",
            observed="none",
            source=store,
            hint="it was dropped or renamed: restore it from the backup",
        )
    found = list(schema_differences(baseline.facts.contents[store].schemas[name], schemas[name]))
    saw("the recorded schema", f"{len(found)} differences")
    if found:
        evidence("differences", table(("difference",), ((text,) for text in found)), CSV)
        raise Mismatch(
            what=f"schema of {name} of {store}",
            expected="the recorded one",
            observed=f"{len(found)} differences: {'; '.join(found[:SHOWN])}",
            source=store,
            hint="the migration's changes are still there: restore the store, schema and all",
        )


def test_store_holds_no_unrecorded_schema(
    store: str,
    recorded_content: RecordedContent,
    live_schemas: Callable[[str], Mapping[str, Json]],
    saw: Saw,
) -> None:
    """The store has no view, trigger, alias or the like that it did not have."""
    extra = sorted(set(live_schemas(store)) - set(recorded_content.schemas))
    saw("nothing that the baseline does not know", listed(extra) or "nothing")
    if extra:
        raise Mismatch(
            what=f"what {store} has and the baseline does not know",
            expected="nothing",
            observed=listed(extra),
            source=store,
            hint="the migration made it: remove it",
        )


def test_golden_queries(
    golden: str,
    baseline: Baseline,
    golden_answers: Mapping[str, Sequence[Neighbours] | Wrong],
    saw: Saw,
    shown_keys: Callable[[str], Callable[[str], str]],
) -> None:
    """Searches for the vectors of the baseline find the neighbours that they found then."""
    store, name = golden.split("/", 1)
    recorded = baseline.facts.contents[store].collections[name].golden
    pairs = zip(recorded, answer_of(golden_answers, golden), strict=True)
    shown = shown_keys(golden)
    for number, (before, now) in enumerate(pairs):
        expected, observed = neighbours_text(before, shown), neighbours_text(now, shown)
        saw(f"query {number + 1}: {expected}", observed)
        if not same_neighbours(before, now):
            raise Mismatch(
                what=f"neighbours of golden query {number + 1} in {name} of {store}",
                expected=expected,
                observed=observed,
                source="a search for the recorded vector",
                hint="vectors, metric or index are not those of before: restore the collection",
            )


def test_positions(
    moving_store: str, baseline: Baseline, moving: Callable[[str], MovingContent], saw: Saw
) -> None:
    """No position, such as a consumer group's offset, was lost, moved back or is beyond the end."""
    strayed = list(moving(moving_store).strayed(baseline.facts.contents[moving_store].positions))
    saw("every position where it was, or further on", listed(strayed) or "so it is")
    if strayed:
        raise Mismatch(
            what=f"positions of {moving_store}",
            expected="where they were, or further on",
            observed="; ".join(strayed[:SHOWN]),
            source=moving_store,
            hint="consumers would skip or repeat messages: restore topics and offsets together",
        )


def test_references(
    relation: str,
    target: Target,
    open_store: Callable[[str], StoreView],
    saw: Saw,
) -> None:
    """What the records of one store name in another is there."""
    records = require_whole(target.references[relation], open_store, target.personal)
    saw("every name is held by the other store", f"{records} records name what is there")


def test_store_was_compared(
    store: str,
    recorded_store: RecordedStore,
    recorded_content: RecordedContent,
    evidence: Callable[[str, str], None],
    saw: Saw,
) -> None:
    """The baseline holds records of the store; comparing nothing with nothing proves nothing."""
    evidence("blind spots", "\n".join(recorded_content.blind_spots))
    saw("records in the baseline", sum(recorded_store.counts.values()))
    # A store whose collections are all volatile has none that was read.
    digests = [digest for c in recorded_content.collections.values() for digest in c.digests]
    if not sum(recorded_store.counts.values()) or (digests and not whole_digest(digests).records):
        raise Unverifiable(
            what=f"records of {store} in the baseline",
            expected="at least 1",
            observed="0",
            source="baseline",
            hint="capture a baseline of the store with its data, or take the store out of the profile",
        )
