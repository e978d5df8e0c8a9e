"""MongoDB: documents hashed as bytes and named by keys and fields; and which of its options are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
import pytest
from bson import Int64, MinKey, ObjectId
from bson.raw_bson import RawBSONDocument

from rollproof.stores.mongodb.bson import RAW, canonical, record_key
from rollproof.stores.mongodb.reader import judged
from rollproof.stores.mongodb.schema import Description


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_the_order_of_fields_is_left_out_where_the_server_keeps_none() -> None:
    one, other = _raw({"a": 1, "b": 2}), _raw({"b": 2, "a": 1})
    assert canonical(one, frozenset(), ordered=False) == canonical(other, frozenset(), ordered=False)
    assert canonical(one, frozenset(), ordered=True) != canonical(other, frozenset(), ordered=True)


def test_an_option_that_is_set_back_to_its_default_is_one_that_never_changed() -> None:
    def described(**options: str) -> object:
        return Description("shop", "a", "collection", _raw({"validator": {"a": 1}, **options}), []).schema()

    assert described(validationLevel="strict", validationAction="error") == described()
    assert described(validationLevel="moderate") != described() != described(validationAction="warn")


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
