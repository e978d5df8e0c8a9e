"""The content of Qdrant, against the stack's own: no change of a point or of a schema goes unseen."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.content import Digest, Pace, SearchableContent
from fixtures.stores.profiles import QdrantProfile
from fixtures.stores.qdrant import Rest
from fixtures.stores.qdrant_content import Content
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.qdrant import Keeper
from tests.stack.content_reading import (
    agreeing_records,
    digests,
    expect_a_caller_may_stop,
    expect_full_parts,
    expect_golden_again,
    read,
    recorded,
    whole,
)
from tests.stack.qdrant_scratch import (
    DAMAGE,
    NUMBERS,
    SCHEMA_DAMAGE,
    UUIDS,
    Scratch,
    identity,
    next_float,
    vectors,
)
from tests.stack.scratch_stores import changed

POINTS = NUMBERS + UUIDS


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["qdrant"].address)


@pytest.fixture
def profile(target: Target) -> QdrantProfile:
    store = target.stores["qdrant"]
    assert isinstance(store, QdrantProfile)
    return changed(store, collections=(f"scratch_{uuid.uuid4().hex[:8]}_*",))


@pytest.fixture
def scratch(profile: QdrantProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    rest = Rest("qdrant", endpoint, profile.operator, 20)
    made = Scratch(rest, profile.collections[0].removesuffix("*"))
    made.fill()
    yield made
    made.clear()


@pytest.fixture
def content(profile: QdrantProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("qdrant", profile, endpoint) as opened:
        yield opened


@pytest.mark.parametrize("damage", DAMAGE)
def test_any_change_of_a_point_changes_the_digest(content: Content, scratch: Scratch, damage: str) -> None:
    before, schemas = whole(content, scratch.full), content.schemas()
    assert before.records == POINTS
    assert whole(content, scratch.full) == before
    DAMAGE[damage](scratch)
    assert whole(content, scratch.full) != before
    assert content.schemas() == schemas


@pytest.mark.parametrize("damage", SCHEMA_DAMAGE)
def test_any_change_of_a_schema_is_seen(content: Content, scratch: Scratch, damage: str) -> None:
    before, points = content.schemas(), whole(content, scratch.full)
    SCHEMA_DAMAGE[damage](scratch)
    assert content.schemas() != before
    assert whole(content, scratch.full) == points


def test_schemas_have_what_a_collection_was_made_with(content: Content, scratch: Scratch) -> None:
    schemas = content.schemas()
    assert list(schemas) == sorted([f"alias {scratch.alias}", scratch.full, scratch.other])
    assert schemas[f"alias {scratch.alias}"] == scratch.full
    full = schemas[scratch.full]
    assert isinstance(full, dict)
    assert full["payload_indexes"] == {"word": {"data_type": "keyword"}}
    assert {"params", "hnsw_config", "optimizer_config", "wal_config"} <= set(full)


def test_a_restore_gives_the_same_content(
    content: Content,
    scratch: Scratch,
    profile: QdrantProfile,
    endpoint: Endpoint,
    control: ContainerControl,
    tmp_path: Path,
) -> None:
    keeper = Keeper("qdrant", profile, endpoint, control)
    keeper.back_up(tmp_path)
    before = content.schemas(), whole(content, scratch.full)
    for damage in ("every vector embedded anew", "a payload lost"):
        DAMAGE[damage](scratch)
    for damage in ("an index lost", "an alias moved", "another metric"):
        SCHEMA_DAMAGE[damage](scratch)
    keeper.restore(tmp_path)
    assert (content.schemas(), whole(content, scratch.full)) == before


@pytest.mark.parametrize("size", [1, 7, POINTS, 10 * POINTS])
def test_parts_are_the_whole(content: Content, scratch: Scratch, size: int) -> None:
    expect_full_parts(content, scratch.full, size, POINTS)


def test_a_digest_is_the_sum_of_its_records(
    profile: QdrantProfile, endpoint: Endpoint, scratch: Scratch
) -> None:
    excluded = changed(profile, exclude={"*": ("word", "vector image", "absent")})
    for chosen in (profile, excluded):
        content = Content("qdrant", chosen, endpoint)
        division = content.divide(scratch.full, 6)
        assert len(agreeing_records(content, scratch.full, division)) == POINTS


def test_excluded_fields_may_change(profile: QdrantProfile, endpoint: Endpoint, scratch: Scratch) -> None:
    excluding = changed(profile, exclude={f"{scratch.name}f*": ("word", "vector image")})
    content = Content("qdrant", excluding, endpoint)
    before = whole(content, scratch.full)
    scratch.put(7, word="other", vector={"image": [9.0, 9.0, 9.0]})
    assert whole(content, scratch.full) == before
    scratch.put(7, first="other")
    assert whole(content, scratch.full) != before


def test_a_changed_record_tells_which_fields(content: Content, scratch: Scratch) -> None:
    before = read(content, scratch.full)
    bits = {"image": [1.0, next_float(1.0), -7 / 3]}
    scratch.put(7, vector=bits, small=1.0)
    after = read(content, scratch.full)
    assert (
        before.records.keys() == after.records.keys() == {str(identity(number)) for number in range(POINTS)}
    )
    assert before.changed(after) == {"7": {"small", "vector image"}}


def test_records_come_in_the_order_of_the_parts_asked_for(content: Content, scratch: Scratch) -> None:
    division = content.divide(scratch.full, 5)
    found = recorded(content, scratch.full, division, [6, 1, 2])
    assert [part for part, _ in found] == [6] * 5 + [1] * 5 + [2] * 5
    assert {record.key for part, record in found if part == 1} == {"5", "6", "7", "8", "9"}
    assert {record.key for part, record in found if part == 6} == {
        str(identity(number)) for number in range(NUMBERS, NUMBERS + 5)
    }


def test_what_comes_later_has_its_part(content: Content, scratch: Scratch) -> None:
    scratch.delete(0, identity(POINTS - 1))
    division = content.divide(scratch.full, 10)
    before = digests(content, scratch.full, division)
    scratch.put(0)
    scratch.put(POINTS - 1)
    scratch.delete(division[1] and int(division[1]))
    after = digests(content, scratch.full, division)
    last = len(division) - 1
    assert after[0].records == before[0].records + 1
    assert after[1].records == before[1].records - 1
    assert after[last].records == before[last].records + 1
    assert sum(after, Digest(0, 0)) == whole(content, scratch.full)


def test_an_empty_collection_is_one_empty_part(content: Content, scratch: Scratch) -> None:
    assert content.divide(scratch.other, 10) == ("",)
    assert whole(content, scratch.other) == Digest(0, 0)
    assert recorded(content, scratch.other) == []
    assert content.golden(scratch.other, 3, 5) == ()


def test_a_caller_may_stop(content: Content, scratch: Scratch) -> None:
    expect_a_caller_may_stop(content, scratch.full, POINTS)


def test_a_collection_that_is_gone_is_unverifiable(content: Content, scratch: Scratch) -> None:
    gone = f"{scratch.name}absent"
    for call in (
        lambda: content.divide(gone, 10),
        lambda: list(content.digest(gone, ("",), [0], Pace())),
        lambda: list(content.records(gone, ("",), [0], Pace())),
        lambda: content.golden(gone, 3, 5),
    ):
        with pytest.raises(Unverifiable, match="404"):
            call()


def test_golden_queries_find_the_same_again(content: Content, scratch: Scratch) -> None:
    assert isinstance(content, SearchableContent)
    golden = expect_golden_again(content, scratch.full)
    best = golden[1].keys[0]
    scratch.delete(int(best) if best.isdecimal() else best)
    assert best not in content.search_again(scratch.full, golden[1]).keys
    assert vectors(0)["image"] == list(golden[0].vector)
