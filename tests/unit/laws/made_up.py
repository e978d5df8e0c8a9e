"""What the laws are tried with: little values, chosen so that two that were made up are often alike."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.binary import Binary
from hypothesis import strategies as st

from rollproof.stores.contract import RecordHash

NUMBERS: list[Any] = [0, 1, -1, 0.0, -0.0, 1.0, 0.5, True, False, None]
TEXTS = ["", "0", "1", "1.0", "-0.0", "true", "null", "a", "b", "A", "é"]

# Bytes that a frame of another value may be taken for.
short_bytes = st.text("01:-a", max_size=4).map(str.encode)
bytes_or_none = st.none() | short_bytes
# Equal hashes have equal fields. They expired long ago, or never will: else the result were one of the day.
_CONTENTS = {1: ({"x": 1}, None), 2: ({"x": 1, "y": 2}, 1.0), 3: ({}, None)}
records = st.lists(
    st.builds(
        lambda key, value: RecordHash(key, value, *_CONTENTS[value]),
        st.sampled_from("abcd"),
        st.sampled_from([1, 2, 3]),
    ),
    max_size=8,
)
json_values = st.recursive(
    st.sampled_from([*NUMBERS, *TEXTS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
bson_scalars = st.sampled_from(
    [
        *NUMBERS,
        *TEXTS,
        *(Int64(0), Int64(1), Decimal128("1"), Decimal128("1.0"), float("inf")),
        *(b"", b"a", Binary(b"a", 5), ObjectId(b"1" * 12), (b"1" * 12).hex(), MinKey(), MaxKey()),
        *(Timestamp(1, 2), datetime(2024, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
    ]
)
bson_values = st.recursive(
    bson_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(st.sampled_from("abcd"), bson_values, max_size=4)


def typed(value: Any, *, ordered: bool) -> Any:  # noqa: ANN401 - any value
    """Return `value` so that two are equal only when they are so in type too, and to the bit.

    Python has 1 == 1.0 == True and 0.0 == -0.0. Where fields are `ordered`, another order is another value.
    """
    if isinstance(value, dict):
        items = [(name, typed(item, ordered=ordered)) for name, item in value.items()]
        return ("document", tuple(items if ordered else sorted(items, key=lambda item: item[0])))
    if isinstance(value, list):
        return ("list", tuple(typed(item, ordered=ordered) for item in value))
    if isinstance(value, float):
        return ("double", struct.pack("<d", value))
    if isinstance(value, Binary):
        return ("binary", value.subtype, bytes(value))
    if isinstance(value, bytes):
        return ("binary", 0, value)
    return (type(value).__name__, repr(value))
