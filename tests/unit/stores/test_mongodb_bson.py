"""BSON: hashed as bytes, told apart by keys and fields, and cut by bounds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

from rollproof.stores.mongodb.bson import ORDER, RAW, bound_key, bound_text, canonical, fields, record_key

VALUES: list[Any] = [
    *(
        1.5,
        "text",
        "",
        {"a": 1},
        b"bytes",
        Binary(b"\0", 5),
        Binary.from_uuid(UUID(int=7)),
        ObjectId(b"1" * 12),
    ),
    *(datetime(2024, 1, 1, tzinfo=UTC), None, True, Code("f"), Code("f", {"x": 1}), 7, Timestamp(1, 2)),
    *(Int64(7), Decimal128("1.10"), MinKey(), MaxKey(), Binary.from_uuid(UUID(int=7))),
]


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_fields_are_left_out_and_nothing_else() -> None:
    document = {"a": 1, "b": {"c": 2, "d": {"e": 3}}, "f": [{"c": 4, "g": 5}, [{"g": 6}], 7], "h": 8}
    excluded = frozenset({"a", "b.d.e", "b.d.x", "f.g", "h.i", "none"})
    assert bson.decode(canonical(_raw(document), excluded, ordered=True)) == {
        "b": {"c": 2, "d": {}},
        "f": [{"c": 4}, [{}], 7],
        "h": 8,
    }
    assert canonical(_raw(document), frozenset(), ordered=True) == bson.encode(document)


def test_the_order_of_fields_is_left_out_where_the_server_keeps_none() -> None:
    one, other = _raw({"a": 1, "b": 2}), _raw({"b": 2, "a": 1})
    assert canonical(one, frozenset(), ordered=False) == canonical(other, frozenset(), ordered=False)
    assert canonical(one, frozenset(), ordered=True) != canonical(other, frozenset(), ordered=True)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_bound_is_the_same_key_again(value: object) -> None:
    key = _raw({"_id": value})
    assert bson.encode({"_id": bound_key(bound_text(key["_id"]))}) == key.raw


def test_keys_are_told_apart() -> None:
    keys = [1, Int64(1), 1.0, "1", Decimal128("1"), True, "true", None, "null", {"a": 1}, ObjectId(b"1" * 12)]
    texts = [record_key(_raw({"_id": key, "other": 1})) for key in [*keys, (b"1" * 12).hex()]]
    assert len(set(texts)) == len(keys) + 1
    assert texts[-2] == f'ObjectId("{(b"1" * 12).hex()}")'
    assert record_key(_raw({"x": 1})) == "no _id"
    assert record_key(_raw({"x": 1, "_id": ObjectId(b"1" * 12)})) == texts[-2]


def test_keys_are_as_mongosh_takes_them() -> None:
    written = {
        '"canary \\"a\\" é"': 'canary "a" é',
        "7": 7,
        """EJSON.parse('{"$numberLong": "7"}')""": Int64(7),
        """EJSON.parse('{"user": "a", "day": {"$numberInt": "3"}}')""": {"user": "a", "day": 3},
        """EJSON.parse('{"$minKey": 1}')""": MinKey(),
    }
    assert {record_key(_raw({"_id": key})): key for key in written.values()} == written


def test_fields_that_differ_are_named() -> None:
    first, second = (fields(_raw({"_id": number, "a": 1, "b": [number]})) for number in (1, 2))
    assert {name for name in first if first[name] != second[name]} == {"_id", "b"}
    assert set(first) == {"_id", "a", "b", ORDER}
    assert all(value < 2**16 for value in first.values())
    assert fields(_raw({"a": 1}))["a"] != fields(_raw({"a": 1.0}))["a"]
    assert fields(_raw({"a": 1, "b": 1}))[ORDER] != fields(_raw({"b": 1, "a": 1}))[ORDER]
