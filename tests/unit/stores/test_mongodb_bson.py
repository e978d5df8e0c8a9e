"""Raw BSON: taken apart and put together again, every type there is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.errors import InvalidBSON

from rollproof.stores.mongodb.bson import (
    ORDER,
    answered,
    bound_key,
    bound_text,
    elements,
    fields,
    hashes,
    joined,
    key_text,
    record_key,
    split_stream,
    tree,
    without,
)

VALUES: list[Any] = [
    *(1.5, "text", "", {"a": 1}, [1, {"b": 2}], b"bytes", Binary(b"\0", 5), ObjectId(b"1" * 12), True),
    *(datetime(2024, 1, 1, tzinfo=UTC), None, Regex("^a", "i"), Code("f"), Code("f", {"x": 1}), 7),
    *(Timestamp(1, 2), Int64(7), Decimal128("1.10"), MinKey(), MaxKey()),
]
# Types of long ago, which a server may still hold: undefined, a pointer to a document, a symbol.
UNDEFINED = b"\x0a\x00\x00\x00\x06_id\x00\x00"
POINTER = b"\x1c\x00\x00\x00\x0c_id\x00\x02\x00\x00\x00a\x00" + b"1" * 12 + b"\x00"
SYMBOL = b"\x10\x00\x00\x00\x0e_id\x00\x02\x00\x00\x00a\x00\x00"


def test_every_type_is_taken_apart_and_put_together() -> None:
    document = bson.encode({f"field {number}": value for number, value in enumerate(VALUES)})
    found = list(elements(document))
    assert [element.name.decode() for element in found] == [f"field {n}" for n in range(len(VALUES))]
    assert joined(found) == document
    for old in (UNDEFINED, POINTER, SYMBOL):
        assert joined(list(elements(old))) == old


def test_an_unknown_type_is_not_guessed() -> None:
    with pytest.raises(InvalidBSON):
        list(elements(b"\x0b\x00\x00\x00\x20_id\x00\x01\x00"))


def test_an_answer_is_split_into_documents() -> None:
    documents = [bson.encode({"_id": number, "x": "y" * number}) for number in range(120)]
    batch = [bson.decode(document) for document in documents]
    answer = bson.encode({"ok": 1.0, "cursor": {"id": Int64(0), "firstBatch": batch, "ns": "a.b"}})
    found, rest = answered(answer)
    assert found == documents
    assert bson.decode(rest) == {"id": 0, "ns": "a.b"}
    assert split_stream(b"".join(documents)) == documents


def test_fields_are_left_out_and_nothing_else() -> None:
    document = {"a": 1, "b": {"c": 2, "d": {"e": 3}}, "f": [{"c": 4, "g": 5}, [{"g": 6}], 7], "h": 8}
    excluded = tree(frozenset({"a", "b.d.e", "b.d.x", "f.g", "h.i", "none"}))
    assert bson.decode(without(bson.encode(document), excluded)) == {
        "b": {"c": 2, "d": {}},
        "f": [{"c": 4}, [{}], 7],
        "h": 8,
    }
    assert without(bson.encode(document), tree(frozenset())) == bson.encode(document)
    assert tree(frozenset({"b", "b.c"})) == {b"b": None}


def test_a_bound_is_the_same_key_again() -> None:
    for value in VALUES:
        if not isinstance(value, list | Regex):  # which cannot be keys
            key = bson.encode({"_id": value})
            text = bound_text(key)
            assert text is not None
            assert bound_key(text) == key


@pytest.mark.parametrize("key", [UNDEFINED, POINTER])
def test_a_key_without_a_text_is_no_bound(key: bytes) -> None:
    assert bound_text(key) is None
    assert key_text(key)


def test_keys_are_told_apart() -> None:
    keys = [1, Int64(1), 1.0, "1", Decimal128("1"), True, "true", None, "null", {"a": 1}, ObjectId(b"1" * 12)]
    texts = [record_key(bson.encode({"_id": key, "other": 1})) for key in [*keys, (b"1" * 12).hex()]]
    assert len(set(texts)) == len(keys) + 1
    assert texts[-2] == f'ObjectId("{(b"1" * 12).hex()}")'
    assert record_key(bson.encode({"x": 1})) == "no _id"
    assert record_key(bson.encode({"x": 1, "_id": ObjectId(b"1" * 12)})) == texts[-2]


def test_keys_are_as_mongosh_takes_them() -> None:
    number = UUID("12345678-1234-5678-1234-567812345678")
    written = {
        '"canary \\"a\\" é"': 'canary "a" é',
        "7": 7,
        'Long("7")': Int64(7),
        '{"user": "a", "day": 3}': {"user": "a", "day": 3},
        f'UUID("{number}")': Binary.from_uuid(number),
        """EJSON.parse('{"$minKey": 1}')""": MinKey(),
    }
    assert {record_key(bson.encode({"_id": key})): key for key in written.values()} == written


def test_hashes_have_their_bits_and_name_the_fields() -> None:
    documents = [bson.encode({"_id": number, "a": 1, "b": [number]}) for number in range(1000)]
    assert len(set(hashes(documents))) == 1000
    assert max(hashes(documents)).bit_length() == 60
    assert hashes([]) == []
    first, second = fields(documents[0]), fields(documents[1])
    assert {name for name in first if first[name] != second[name]} == {"_id", "b"}
    assert set(first) == {"_id", "a", "b", ORDER}
    assert all(value < 2**16 for value in first.values())
    assert fields(bson.encode({"a": 1}))["a"] != fields(bson.encode({"a": 1.0}))["a"]
