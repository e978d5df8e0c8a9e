"""MongoDB: documents hashed as bytes and named by keys and fields; and which of its options are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from rollproof.stores.mongodb.bson import RAW
from rollproof.stores.mongodb.reader import judged
from rollproof.stores.mongodb.schema import Description


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)


def test_an_option_that_is_set_back_to_its_default_is_one_that_never_changed() -> None:
    def described(**options: str) -> object:
        return Description("shop", "a", "collection", _raw({"validator": {"a": 1}, **options}), []).schema()

    assert described(validationLevel="strict", validationAction="error") == described()
    assert described(validationLevel="moderate") != described() != described(validationAction="warn")


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
