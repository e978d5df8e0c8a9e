"""Canonical forms: different values have different forms; what has no order has one form in any order."""

from __future__ import annotations

import math
import random
import struct
from collections import Counter

import bson
from bson.raw_bson import RawBSONDocument
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.stores.canonical import hash_of_record, packed, record_of
from rollproof.stores.mongodb.bson import RAW, bound_key, bound_text, canonical, record_key
from rollproof.stores.redis.values import TYPES, name_of, text, unordered
from rollproof.stores.vectors import float_bytes, json_bytes, sparse_bytes
from tests.unit.laws.made_up import (
    bson_scalars,
    bson_values,
    bytes_or_none,
    documents,
    json_values,
    short_bytes,
    typed,
)


def unpacked(form: bytes) -> list[bytes | None]:
    """Return what `packed` was given: where this can be told, no two lists have one form."""
    values: list[bytes | None] = []
    while form:
        if form.startswith(b"-"):
            values.append(None)
            form = form[1:]
        else:
            length, _, form = form.partition(b":")
            values.append(form[: int(length)])
            form = form[int(length) :]
    return values


@given(st.lists(bytes_or_none))
def test_packed_values_can_be_told_again(values: list[bytes | None]) -> None:
    assert unpacked(packed(values)) == values


@given(*[st.tuples(short_bytes, st.dictionaries(st.sampled_from(["", "a", "b", "ab"]), bytes_or_none))] * 2)
def test_records_have_one_hash_only_if_they_are_the_same(
    one: tuple[bytes, dict[str, bytes | None]], other: tuple[bytes, dict[str, bytes | None]]
) -> None:
    same = (one[0], list(one[1].items())) == (other[0], list(other[1].items()))
    assert (hash_of_record(*one) == hash_of_record(*other)) == same
    assert record_of("key", *one).hash == hash_of_record(*one)


@given(*[st.lists(st.lists(short_bytes, max_size=3).map(tuple), max_size=4)] * 2, st.randoms())
def test_elements_in_any_order_have_one_digest(
    one: list[tuple[bytes, ...]], other: list[tuple[bytes, ...]], chance: random.Random
) -> None:
    assert unordered(chance.sample(one, len(one))) == unordered(one)
    assert (unordered(one) == unordered(other)) == (Counter(one) == Counter(other))


@given(st.binary(max_size=8) | st.text("a\\x0é\n\xa0\u200b").map(str.encode))
@example(b"\\xff")
@example(b"\xff")
def test_a_name_can_be_told_from_its_text(name: bytes) -> None:
    assert text(name).isprintable()
    assert name_of(text(name)) == name


@given(short_bytes, short_bytes)
def test_strings_have_one_digest_only_if_they_are_the_same(one: bytes, other: bytes) -> None:
    digests = {TYPES[b"string"].value(value, frozenset()).digest for value in (one, other)}
    assert (len(digests) == 1) == (one == other)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
@example(0.1, math.nextafter(0.1, 1.0))
@example(0.0, -0.0)
def test_scores_have_one_digest_only_if_all_their_digits_are_the_same(one: float, other: float) -> None:
    digests = {TYPES[b"zset"].value([(b"m", score)], frozenset()).digest for score in (one, other)}
    assert (len(digests) == 1) == (struct.pack("<d", one) == struct.pack("<d", other))


@given(json_values, json_values)
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
@example([1], [1.0])
@example([0.0], [-0.0])
@example([True], [1])
def test_json_has_one_text_only_if_it_is_the_same_in_type_too(one: object, other: object) -> None:
    same = typed(one, ordered=False) == typed(other, ordered=False)
    assert (json_bytes(one) == json_bytes(other)) == same


@given(st.lists(st.none() | st.floats(width=32)), st.lists(st.none() | st.floats(width=32)))
def test_floats_are_their_bits(one: list[float | None], other: list[float | None]) -> None:
    def bits(values: list[float | None]) -> list[bytes]:
        return [struct.pack("<f", math.nan if value is None else value) for value in values]

    assert float_bytes(one) == b"".join(bits(one))
    assert (float_bytes(one) == float_bytes(other)) == (bits(one) == bits(other))


@given(st.dictionaries(st.integers(0, 9), st.floats(width=32, allow_nan=False), max_size=5), st.randoms())
def test_the_order_of_a_sparse_vector_means_nothing(values: dict[int, float], chance: random.Random) -> None:
    shuffled = dict(chance.sample(list(values.items()), len(values)))
    assert sparse_bytes(shuffled) == sparse_bytes(values)
    assert all(sparse_bytes({**values, index: 0.25}) != sparse_bytes(values) for index in range(10, 12))


@given(bson_values, bson_values)
def test_keys_have_one_text_only_if_they_are_the_same(one: object, other: object) -> None:
    first, second = (record_key(RawBSONDocument(bson.encode({"_id": key}), RAW)) for key in (one, other))
    assert (first == second) == (typed(one, ordered=True) == typed(other, ordered=True))


@given(
    bson_scalars
    | st.floats(allow_nan=False)
    | st.text("a\0\\'$\"é\U0001f511")
    | st.binary()
    | st.integers(-(2**63), 2**63 - 1)
)
def test_a_key_is_a_bound_again(value: object) -> None:
    key = RawBSONDocument(bson.encode({"_id": value}), RAW)
    assert bson.encode({"_id": bound_key(bound_text(key["_id"]))}) == key.raw


def removed(value: object, path: list[str]) -> object:
    """Return `value` without what `path` leads to; lists on the way are walked."""
    if isinstance(value, list):
        return [removed(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    name, *below = path
    return {
        other: removed(item, below) if other == name else item
        for other, item in value.items()
        if below or other != name
    }


@given(
    documents, st.frozensets(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), max_size=3)
)
def test_fields_are_left_out_and_nothing_else(
    document: dict[str, object], out: frozenset[tuple[str, ...]]
) -> None:
    expected: object = document
    for path in out:
        expected = removed(expected, list(path))
    excluded = frozenset(".".join(path) for path in out)
    found = bson.decode(canonical(RawBSONDocument(bson.encode(document), RAW), excluded, ordered=True))
    assert typed(found, ordered=True) == typed(bson.decode(bson.encode(expected)), ordered=True)  # type: ignore[arg-type]
