"""Every content reader: no change of a record goes unseen, and what is the same is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollproof.contract.subject import CollectionState, Subject, digests, read, recorded, whole
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.reader import Reader


def test_every_record_is_read_by_its_key(subject: Subject, before: CollectionState) -> None:
    assert before.records.keys() == subject.keys


def test_every_change_is_seen_and_named(
    subject: Subject, content: Reader, before: CollectionState, subtests: pytest.Subtests
) -> None:
    for change, (_, seen) in subject.changes.items():
        with subtests.test(change):
            try:
                after = read(content, subject.make(change))
            finally:
                subject.mend()
            assert before.changed(after) == seen
            assert after.digests != before.digests


def test_records_that_are_written_again_are_the_same(
    subject: Subject, content: Reader, before: CollectionState
) -> None:
    subject.make(next(iter(subject.changes)))
    subject.mend()
    assert read(content, subject.full) == before


@pytest.mark.only("equals")
def test_other_ways_to_the_same_records_are_not_seen(
    subject: Subject, content: Reader, before: CollectionState, subtests: pytest.Subtests
) -> None:
    for equal, act in subject.equals.items():
        with subtests.test(equal):
            try:
                act(subject)
                after = read(content, subject.full)
            finally:
                subject.mend()
            assert (before.changed(after), after.digests) == ({}, before.digests)


@pytest.mark.usefixtures("mended")
def test_parts_hold_every_record_once_and_outlive_changes(
    subject: Subject, content: Reader, shape: str
) -> None:
    for size in (1, 7, 1000):
        collection = subject.shaped(shape)
        everything = read(content, collection)
        division = content.divide(collection, size)
        assert division[0] == ""
        assert len(set(division)) == len(division)
        parts = read(content, collection, division)
        assert parts.records == everything.records
        assert sum(parts.digests.values(), Digest(0, 0)) == everything.digests[0]
        if subject.shapes[shape] == "least":
            assert len(division) == max(1, -(-len(everything.records) // size))
        if subject.shapes[shape] != "about":
            assert max(digest.records for digest in parts.digests.values()) <= size
        chosen = [part for part in range(len(division)) if part % 3 == 1][::-1]
        assert dict(content.digest(collection, division, chosen, Pace(connections=1))) == {
            part: parts.digests[part] for part in chosen
        }
        if content.parts_alone:
            middle = range(len(division) // 3, max(1, 2 * len(division) // 3))
            bounds = division[middle.start : middle.stop + 1]
            alone = content.digest(collection, bounds, range(len(middle)), Pace(connections=1))
            assert {middle.start + part: digest for part, digest in alone} == {
                part: parts.digests[part] for part in middle
            }
        first, last = subject.stir(shape)
        later = read(content, collection, division)
        assert sum(later.digests.values(), Digest(0, 0)) == whole(content, collection)
        changed = parts.changed(later)
        assert changed
        assert all(changed[key] is None for key in first | last)
        for keys, part in ((first, 0), (last, len(division) - 1)):
            assert keys <= {record.key for _, record in recorded(content, collection, division, [part])}


def test_nothing_is_one_empty_part(subject: Subject, content: Reader) -> None:
    assert content.divide(subject.empty, 10) == ("",)
    assert digests(content, subject.empty) == [Digest(0, 0)]
    assert recorded(content, subject.empty) == []
    assert content.vectors(subject.empty, 3) == ()


def _reads(subject: Subject, content: Reader, collection: str) -> list[Callable[[], object]]:
    reads: list[Callable[[], object]] = [
        lambda: content.divide(collection, 10),
        lambda: digests(content, collection),
        lambda: recorded(content, collection),
    ]
    if subject.searchable:
        reads.append(lambda: content.vectors(collection, 3))
    return reads


def test_a_collection_that_is_gone_is_no_answer(subject: Subject, content: Reader) -> None:
    for call in _reads(subject, content, subject.absent):
        with pytest.raises(Unverifiable, match=subject.gone):
            call()
    assert whole(content, subject.full).records == len(subject.keys)


@pytest.mark.only("garbled")
def test_a_bound_of_another_division_is_no_answer(
    subject: Subject, content: Reader, subtests: pytest.Subtests
) -> None:
    for bound, words in subject.garbled.items():
        with subtests.test(bound), pytest.raises(Unverifiable, match=words):
            digests(content, subject.full, ("", bound))


def test_a_caller_may_stop(subject: Subject, content: Reader) -> None:
    records = subject.counts[subject.many]
    division = content.divide(subject.many, max(1, records // 40))
    for reading in (
        content.digest(subject.many, division, range(len(division)), Pace()),
        content.records(subject.many, division, range(len(division)), Pace()),
        content.records(subject.many, ("",), [0], Pace()),
    ):
        next(reading)
        reading.close()  # type: ignore[union-attr]
    assert whole(content, subject.many).records == records
    assert sum(digest.records for digest in digests(content, subject.many, division)) == records


@pytest.mark.usefixtures("mended")
def test_excluded_fields_are_in_no_hash(subject: Subject, content: Reader, before: CollectionState) -> None:
    exclude = subject.exclude(subject.excluded)
    with subject.reader(exclude=exclude) as blind:
        unseen = read(blind, subject.full)
        assert unseen.records.keys() == before.records.keys()
        assert read(blind, subject.full, blind.divide(subject.full, 6)).records == unseen.records
        assert not {name for record in unseen.records.values() for name in record.fields} & set(
            subject.excluded
        )
        hidden = subject.make(subject.hidden)
        assert read(blind, hidden) == unseen
        assert whole(content, hidden) != before.digests[0]
        subject.mend()
        assert unseen.changed(read(blind, subject.make(subject.shown))) == subject.changes[subject.shown][1]


@pytest.mark.only("restorable")
@pytest.mark.usefixtures("mended")
def test_a_restore_leaves_no_difference(
    subject: Subject, content: Reader, before: CollectionState, tmp_path: Path
) -> None:
    subject.define()
    try:
        keeper = subject.keeper()
        keeper.back_up(tmp_path)
        schemas = content.schemas()
        positions = content.positions()
        subject.spoil()
        assert read(content, subject.full) != before
        keeper.restore(tmp_path)
        assert content.schemas() == schemas
        assert read(content, subject.full) == before
        assert (content.positions(), list(content.position_faults(positions))) == (positions, [])
    finally:
        subject.undefine()


@pytest.mark.only("searchable")
@pytest.mark.usefixtures("mended")
def test_searches_through_the_index_find_the_nearest(subject: Subject, content: Reader) -> None:
    vectors = content.vectors(subject.full, 3)
    assert len(vectors) == 3
    assert vectors[0] == subject.vector
    recall = content.recall(subject.full, vectors)
    assert recall is not None
    assert min(recall.unfiltered, recall.filtered) > 0.9
    nearest, *_ = content.search(subject.full) or ()
    subject.remove(nearest)
    assert nearest not in (content.search(subject.full) or ())
