"""The content of Milvus, against the stack's own: no change of an entity or of a schema goes unseen."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pymilvus import DataType

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.content import Digest, SearchableContent
from fixtures.stores.milvus import View, connect
from fixtures.stores.milvus_content import Content
from fixtures.stores.profiles import MilvusProfile
from fixtures.stores.reach import NOBODY, Reach
from fixtures.target import Target
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
from tests.stack.milvus_content_scratch import (
    DAMAGE,
    ENTITIES,
    SCHEMA_DAMAGE,
    Scratch,
    entity,
    next_float,
    vector,
)
from tests.stack.milvus_scratch import SECONDS
from tests.stack.scratch_stores import changed

ODD_KEYS = ("", " ", 'a"b', "a'b", "a\\b", "a\nb", "\u0001", "%", "ü", "😀", "A", "a", "a ")


@pytest.fixture(scope="module")
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["milvus"].address)


@pytest.fixture(scope="module")
def profile(target: Target) -> MilvusProfile:
    store = target.stores["milvus"]
    assert isinstance(store, MilvusProfile)
    return changed(store, collections=(f"scratch_{uuid.uuid4().hex[:8]}_*",))


@pytest.fixture(scope="module")
def made(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    reach = Reach("milvus", endpoint, profile.operator or NOBODY, SECONDS)
    scratch = Scratch(connect(reach, profile.database), profile.collections[0].removesuffix("*"))
    scratch.create_full()
    scratch.client.create_alias(scratch.full, f"{scratch.name}alias", timeout=SECONDS)
    yield scratch
    scratch.clear()
    scratch.client.close()


@pytest.fixture
def scratch(made: Scratch) -> Iterator[Scratch]:
    """The collection of the module, which is what it was at the end of each test."""
    yield made
    made.mend()


@pytest.fixture
def content(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("milvus", profile, endpoint) as opened:
        yield opened


@pytest.mark.parametrize("damage", DAMAGE)
def test_any_change_of_an_entity_changes_the_digest(content: Content, scratch: Scratch, damage: str) -> None:
    before = whole(content, scratch.full)
    assert before.records == ENTITIES
    DAMAGE[damage](scratch)
    assert whole(content, scratch.full) != before
    scratch.mend()
    assert whole(content, scratch.full) == before


@pytest.mark.parametrize("damage", SCHEMA_DAMAGE)
def test_any_change_of_a_schema_is_seen(content: Content, made: Scratch, damage: str) -> None:
    made.create(made.other)
    try:
        before = content.schemas()
        assert content.schemas() == before
        SCHEMA_DAMAGE[damage](made)
        assert content.schemas() != before
    finally:
        made.client.alter_alias(made.full, f"{made.name}alias", timeout=SECONDS)
        if damage == "an alias added":
            made.client.drop_alias(f"{made.name}second", timeout=SECONDS)
        if damage != "a collection lost":
            made.client.drop_collection(made.other, timeout=SECONDS)


def test_writing_changes_no_schema(content: Content, scratch: Scratch) -> None:
    before = content.schemas()
    scratch.put(entity(900))
    scratch.client.flush(scratch.full, timeout=SECONDS)
    assert content.schemas() == before
    assert list(before) == [f"alias {scratch.name}alias", scratch.full]
    assert before[f"alias {scratch.name}alias"] == scratch.full


def test_what_is_not_loaded_is_told_and_has_no_digest(content: Content, made: Scratch) -> None:
    made.create(made.other)
    made.client.release_collection(made.other, timeout=SECONDS)
    try:
        schema = content.schemas()[made.other]
        assert isinstance(schema, dict)
        assert schema["load state"] == "not loaded"
        for call in (
            lambda: content.divide(made.other, 10),
            lambda: whole(content, made.other),
            lambda: recorded(content, made.other),
            lambda: content.golden(made.other, 3, 5),
        ):
            with pytest.raises(Unverifiable, match="not loaded"):
                call()
        state = made.client.get_load_state(made.other, timeout=SECONDS)["state"].name
        assert state == "NotLoad", "a reader loads nothing"
    finally:
        made.client.drop_collection(made.other, timeout=SECONDS)


@pytest.mark.parametrize("size", [1, 7, ENTITIES, 10 * ENTITIES])
def test_parts_are_the_whole(content: Content, scratch: Scratch, size: int) -> None:
    expect_full_parts(content, scratch.full, size, ENTITIES)


def test_a_digest_is_the_sum_of_its_records(
    profile: MilvusProfile, endpoint: Endpoint, scratch: Scratch
) -> None:
    excluded = changed(profile, exclude={"*": ("word", "vector", "own", "absent")})
    for chosen in (profile, excluded):
        with Content("milvus", chosen, endpoint) as content:
            division = content.divide(scratch.full, 6)
            assert len(agreeing_records(content, scratch.full, division)) == ENTITIES


def test_excluded_fields_may_change(profile: MilvusProfile, endpoint: Endpoint, scratch: Scratch) -> None:
    excluding = changed(profile, exclude={f"{scratch.name}f*": ("word", "vector", "own")})
    with Content("milvus", excluding, endpoint) as content:
        before = whole(content, scratch.full)
        scratch.put(entity(7, word="other", vector=[9.0] * 4, own=9))
        assert whole(content, scratch.full) == before
        scratch.put(entity(7, first="other"))
        assert whole(content, scratch.full) != before


def test_a_changed_record_tells_which_fields(content: Content, scratch: Scratch) -> None:
    before = read(content, scratch.full)
    scratch.put(entity(7, vector=[*vector(7)[:3], next_float(0.25)], own=1.0))
    after = read(content, scratch.full)
    assert before.records.keys() == after.records.keys() == {str(number) for number in range(ENTITIES)}
    assert before.changed(after) == {"7": {"vector", "own"}}


def test_records_come_in_the_order_of_the_parts_asked_for(content: Content, scratch: Scratch) -> None:
    division = content.divide(scratch.full, 5)
    found = recorded(content, scratch.full, division, [6, 1, 2])
    assert [part for part, _ in found] == [6] * 5 + [1] * 5 + [2] * 5
    assert {record.key for part, record in found if part == 6} == {"30", "31", "32", "33", "34"}


def test_what_comes_later_has_its_part(content: Content, scratch: Scratch) -> None:
    division = content.divide(scratch.full, 10)
    before = digests(content, scratch.full, division)
    scratch.put(entity(-(2**63) + 1, whole=0), entity(ENTITIES + 1))
    scratch.delete(10)
    try:
        after = digests(content, scratch.full, division)
        assert [after[part].records for part in range(4)] == [11, 9, 10, 11]
        assert after[2] == before[2]
        assert sum(after, Digest(0, 0)) == whole(content, scratch.full)
    finally:
        scratch.delete(-(2**63) + 1)


def test_a_key_that_is_there_twice_is_in_the_count(
    content: Content, scratch: Scratch, profile: MilvusProfile, endpoint: Endpoint
) -> None:
    """A query gives such an entity once, whatever is asked: see `blind_spots`. No other one may be lost."""
    for _ in range(3):
        scratch.client.insert(scratch.full, [entity(number) for number in range(ENTITIES)], timeout=SECONDS)
    division = content.divide(scratch.full, 10)
    assert whole(content, scratch.full).records == ENTITIES
    assert sum(part.records for part in digests(content, scratch.full, division)) == ENTITIES
    with View("milvus", profile, endpoint) as view:
        assert view.counts()[scratch.full] > ENTITIES
    scratch.delete(*range(ENTITIES))


@pytest.mark.parametrize("automatic", [False, True])
def test_keys_of_every_kind(content: Content, made: Scratch, *, automatic: bool) -> None:
    made.create(made.other, key=DataType.INT64 if automatic else DataType.VARCHAR, automatic=automatic)
    try:
        assert content.divide(made.other, 10) == ("",)
        assert whole(content, made.other) == Digest(0, 0)
        assert recorded(content, made.other) == []
        assert content.golden(made.other, 3, 5) == ()
        entities = [
            {**({} if automatic else {"pk": key}), "vector": vector(number), "word": key}
            for number, key in enumerate(ODD_KEYS)
        ]
        made.client.insert(made.other, entities, timeout=SECONDS)
        for size in (1, 2, 5):
            division = content.divide(made.other, size)
            assert len(division) == -(-len(ODD_KEYS) // size)
            parts = digests(content, made.other, division)
            assert sum(part.records for part in parts) == len(ODD_KEYS)
            assert all(part.records <= size for part in parts)
        found = [record.key for _, record in recorded(content, made.other)]
        assert len(set(found)) == len(ODD_KEYS)
        if not automatic:
            assert found == sorted(ODD_KEYS)
    finally:
        made.client.drop_collection(made.other, timeout=SECONDS)


def test_a_division_by_keys_of_another_type_is_unverifiable(content: Content, scratch: Scratch) -> None:
    with pytest.raises(Unverifiable, match="compare the schemas"):
        digests(content, scratch.full, ("", "word"))


def test_a_caller_may_stop(content: Content, scratch: Scratch) -> None:
    expect_a_caller_may_stop(content, scratch.full, ENTITIES)


def test_a_collection_that_is_gone_is_unverifiable(content: Content, scratch: Scratch) -> None:
    gone = f"{scratch.name}absent"
    for call in (
        lambda: content.divide(gone, 10),
        lambda: whole(content, gone),
        lambda: recorded(content, gone),
        lambda: content.golden(gone, 3, 5),
    ):
        with pytest.raises(Unverifiable, match=gone):
            call()


def test_golden_queries_find_the_same_again(content: Content, scratch: Scratch) -> None:
    assert isinstance(content, SearchableContent)
    golden = expect_golden_again(content, scratch.full)
    assert golden[0].vector == tuple(vector(0))
    best = golden[1].keys[0]
    scratch.delete(int(best))
    assert best not in content.search_again(scratch.full, golden[1]).keys
