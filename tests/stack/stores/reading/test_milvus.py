"""Milvus alone: what is not loaded, keys that are there twice, and keys of any text."""

from __future__ import annotations

import pytest

from rollproof.contract.subject import digests, recorded, whole
from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.contract import Unlisted
from rollproof.stores.milvus import client as milvus_client
from rollproof.stores.reach import Reach, account_of
from rollproof.stores.reader import Reader
from tests.stack.milvus_content_scratch import ENTITIES, entity
from tests.stack.milvus_scratch import SECONDS
from tests.stack.scratch_stores import expect_unverifiable
from tests.stack.stores.milvus import ODD_KEYS, Milvus

STORES = ("milvus",)


def test_counts_are_no_statistics(subject: Milvus) -> None:
    """Nothing of the second collection is flushed: the server's own statistics say 0 of it."""
    texts = subject.shaped("texts")
    try:
        assert subject.scratch.client.get_collection_stats(texts, timeout=SECONDS)["row_count"] == 0
        with subject.reader() as view:
            assert view.counts() == {**subject.counts, texts: len(ODD_KEYS)}
    finally:
        subject.drop_other()


def test_texts_come_in_the_order_of_their_bytes(subject: Milvus, content: Reader) -> None:
    texts = subject.shaped("texts")
    try:
        assert [record.key for _, record in recorded(content, texts)] == sorted(ODD_KEYS)
    finally:
        subject.drop_other()


def test_any_text_is_found_as_a_name(subject: Milvus) -> None:
    texts = subject.shaped("texts")
    fields = subject.scratch.client.describe_collection(texts, timeout=SECONDS)["fields"]
    key = next(str(field["name"]) for field in fields if field.get("is_primary"))
    names = [(odd,) for odd in ODD_KEYS]
    try:
        with subject.reader() as view:
            assert view.held(texts, [key], [*names, ("\U0001f37b",)]) == {*names}
            assert [*view.names(texts, [key], {key: "😀"})] == [("😀",)]
    finally:
        subject.drop_other()


def test_what_is_not_loaded_is_told_and_neither_counted_nor_read(subject: Milvus, content: Reader) -> None:
    other, client = subject.scratch.other, subject.scratch.client
    subject.define()
    try:
        client.release_collection(other, timeout=SECONDS)
        schema = content.schemas()[other]
        assert isinstance(schema, dict)
        assert schema["load state"] == "not loaded"
        with subject.reader() as view:
            assert view.load_state(other) == "not loaded"
            for call in (
                view.counts,
                lambda: [*view.names(other, ["pk"], {})],
                lambda: content.divide(other, 10),
                lambda: whole(content, other),
                lambda: recorded(content, other),
                lambda: content.vectors(other, 3),
            ):
                with pytest.raises(Unverifiable, match="not loaded") as told:
                    call()
                # The server has answered.
                assert told.value.means is Meaning.OTHER
        state = client.get_load_state(other, timeout=SECONDS)["state"].name
        assert state == "NotLoad", "a reader loads nothing"
    finally:
        subject.undefine()


@pytest.mark.usefixtures("mended")
def test_a_key_that_is_there_twice_is_in_the_count(subject: Milvus, content: Reader) -> None:
    """A query gives such an entity once, whatever is asked: see `blind_spots`. No other one may be lost."""
    entities = [entity(number) for number in range(ENTITIES)]
    for _ in range(3):
        subject.scratch.client.insert(subject.full, entities, timeout=SECONDS)
    division = content.divide(subject.full, 10)
    assert whole(content, subject.full).records == ENTITIES
    assert sum(part.records for part in digests(content, subject.full, division)) == ENTITIES
    with subject.reader() as view:
        assert view.counts()[subject.full] > ENTITIES
    subject.scratch.delete(*range(ENTITIES))


def test_a_database_outside_the_profile_s_is_named_where_it_holds_something(subject: Milvus) -> None:
    name, operator = f"outside_{subject.full}", subject.profile.operator
    root = Reach("milvus", subject.endpoint, account_of(operator), SECONDS)
    subject.scratch.client.create_database(name, timeout=SECONDS)
    other = milvus_client.Milvus(root, name).connect()
    with subject.reader(reader=operator) as told, subject.reader() as reader:
        try:
            before = told.unlisted() or Unlisted()
            assert f"database {name}" not in before.outside, "a server has empty ones of its own"
            other.create_collection("x", dimension=4, timeout=SECONDS)
            assert {*(told.unlisted() or Unlisted()).outside} - {*before.outside} == {f"database {name}"}
            # Its reader may not be told; then it says so.
            found = reader.unlisted() or Unlisted()
            assert f"database {name}" in found.outside or found.unread
        finally:
            other.drop_collection("x", timeout=SECONDS)
            other.close()
            subject.scratch.client.drop_database(name, timeout=SECONDS)


def test_a_collection_outside_the_profile_s_is_named(subject: Milvus) -> None:
    with subject.reader(collections=(subject.full,)) as content:
        outside = {*(content.unlisted() or Unlisted()).outside}
    assert f"collection {subject.empty}" in outside
    assert f"collection {subject.full}" not in outside


def test_an_unknown_database_is_unverifiable(subject: Milvus) -> None:
    expect_unverifiable(subject.reader(database="absent"), "absent")
