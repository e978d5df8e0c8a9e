"""BSON: hashed as bytes, named by keys and fields."""

from __future__ import annotations

from typing import Any

import bson
from bson import Int64, MinKey, ObjectId
from bson.raw_bson import RawBSONDocument

from rollproof.stores.mongodb.bson import ORDER, RAW, canonical, fields, record_key


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_the_order_of_fields_is_left_out_where_the_server_keeps_none() -> None:
    one, other = _raw({"a": 1, "b": 2}), _raw({"b": 2, "a": 1})
    assert canonical(one, frozenset(), ordered=False) == canonical(other, frozenset(), ordered=False)
    assert canonical(one, frozenset(), ordered=True) != canonical(other, frozenset(), ordered=True)


def test_keys_are_as_mongosh_takes_them() -> None:
    written = {
        '"canary \\"a\\" é"': 'canary "a" é',
        "7": 7,
        f'ObjectId("{(b"1" * 12).hex()}")': ObjectId(b"1" * 12),
        """EJSON.parse('{"$numberLong": "7"}')""": Int64(7),
        """EJSON.parse('{"user": "a", "day": {"$numberInt": "3"}}')""": {"user": "a", "day": 3},
        """EJSON.parse('{"$minKey": 1}')""": MinKey(),
    }
    assert {record_key(_raw({"_id": key})): key for key in written.values()} == written
    # In a time series it is not the first field.
    assert record_key(_raw({"x": 1, "_id": ObjectId(b"1" * 12)})) == f'ObjectId("{(b"1" * 12).hex()}")'
    assert record_key(_raw({"x": 1})) == "no _id"


def test_fields_that_differ_are_named() -> None:
    first, second = (fields(_raw({"_id": number, "a": 1, "b": [number]})) for number in (1, 2))
    assert {name for name in first if first[name] != second[name]} == {"_id", "b"}
    assert set(first) == {"_id", "a", "b", ORDER}
    assert all(value < 2**16 for value in first.values())
    assert fields(_raw({"a": 1}))["a"] != fields(_raw({"a": 1.0}))["a"]
    assert fields(_raw({"a": 1, "b": 1}))[ORDER] != fields(_raw({"b": 1, "a": 1}))[ORDER]
