"""MongoDB: documents hashed as bytes and named by keys and fields; and which of its options are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
import pytest
from bson import Int64, MinKey, ObjectId
from bson.raw_bson import RawBSONDocument

from rollproof.baseline.differences import schema_differences
from rollproof.stores.mongodb.bson import ORDER, RAW, canonical, fields, record_key
from rollproof.stores.mongodb.reader import judged
from rollproof.stores.mongodb.schema import Description


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_the_order_of_fields_is_left_out_where_the_server_keeps_none() -> None:
    one, other = _raw({"a": 1, "b": 2}), _raw({"b": 2, "a": 1})
    assert canonical(one, frozenset(), ordered=False) == canonical(other, frozenset(), ordered=False)
    assert canonical(one, frozenset(), ordered=True) != canonical(other, frozenset(), ordered=True)


def test_a_field_is_left_out_in_each_document_of_a_list() -> None:
    one, other = (_raw({"turns": [{"seen": seen, "text": "a"}, 7]}) for seen in (1, 2))
    excluded = frozenset({"turns.seen"})
    assert canonical(one, excluded, ordered=True) == canonical(other, excluded, ordered=True)


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


def _schema(options: dict[str, Any], **of_index: object) -> Any:  # noqa: ANN401 - JSON
    index = {"v": 2, "key": {"a": 1}, "name": "a_1", **of_index}
    raw_options, raw_index = (RawBSONDocument(bson.encode(one)) for one in (options, index))
    return Description("db", "papers", "collection", raw_options, [raw_index]).schema()


@pytest.mark.parametrize(
    ("options", "of_index", "said"),
    [
        ({"validationAction": "warn"}, {}, "options.validationAction: expected none, observed '\"warn\"'"),
        ({"validationLevel": "off"}, {}, "options.validationLevel: expected none, observed '\"off\"'"),
        ({"validator": {"a": 1}}, {}, "options.validator: expected none"),
        ({"capped": True, "size": 4096}, {}, "options.capped: expected none, observed 'true'"),
        ({}, {"unique": True}, "indexes.a_1.unique: expected none, observed 'true'"),
    ],
)
def test_an_option_is_seen(options: dict[str, Any], of_index: dict[str, object], said: str) -> None:
    first, *_ = schema_differences(_schema({}), _schema(options, **of_index))
    assert first.startswith(said)


FIND = ["find", "listCollections", "changeStream"]
WRITE = ["find", "insert", "remove", "createCollection", "createIndex", "dropCollection"]


@pytest.mark.parametrize(
    ("resource", "actions", "writes", "lacks"),
    [
        ({"db": "", "collection": ""}, FIND, 0, 5),
        ({"db": "", "collection": ""}, WRITE, 5, 0),
        ({"db": "mongodb", "collection": ""}, WRITE, 5, 0),
        ({"db": "other", "collection": ""}, WRITE, 0, 6),
        ({"db": "mongodb", "collection": "files"}, ["find", "insert"], 0, 6),
        ({"cluster": True}, ["insert"], 0, 6),
        ({"anyResource": True}, ["anyAction"], 1, 0),
    ],
)
def test_accounts_of_mongodb(
    resource: Mapping[str, object], actions: Sequence[str], writes: int, lacks: int
) -> None:
    found = judged([{"resource": resource, "actions": actions}], ["mongodb"])
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)
