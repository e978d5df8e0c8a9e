"""What of MongoDB's options is compared: what they come to, told or not."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from rollproof.baseline.differences import schema_differences
from rollproof.stores.mongodb.schema import Description


def _schema(options: dict[str, Any], **of_index: object) -> Any:  # noqa: ANN401 - JSON
    index = {"v": 2, "key": {"a": 1}, "name": "a_1", **of_index}
    raw_options, raw_index = (RawBSONDocument(bson.encode(one)) for one in (options, index))
    return Description("db", "papers", "collection", raw_options, [raw_index]).schema()


@pytest.mark.parametrize(
    ("options", "of_index"),
    [
        ({"validationAction": "error"}, {}),
        ({"validationLevel": "strict", "validationAction": "error"}, {}),
        ({"validator": {}, "capped": False}, {}),
        ({}, {"unique": False, "sparse": False, "hidden": False}),
    ],
)
def test_an_option_that_is_told_at_its_default_is_as_good_as_none(
    options: dict[str, Any], of_index: dict[str, object]
) -> None:
    assert _schema(options, **of_index) == _schema({})


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
def test_another_value_is_seen(options: dict[str, Any], of_index: dict[str, object], said: str) -> None:
    first, *_ = schema_differences(_schema({}), _schema(options, **of_index))
    assert first.startswith(said)
