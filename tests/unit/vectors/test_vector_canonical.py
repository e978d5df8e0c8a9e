"""Canonical forms: what differs has another one, what is equal has the same."""

from __future__ import annotations

import struct
from itertools import combinations

from rollproof.stores.contract import FIELD_BITS, HASH_BITS
from rollproof.stores.vectors import field_hash, float_bytes, json_bytes, record_hash, sparse_bytes


def test_json_of_different_types_differs() -> None:
    values: list[object] = [1, 1.0, True, "1", None, "", [], {}, [1], ["1"], 0, 0.0, -0.0, False, {"1": 1}]
    for one, other in combinations(values, 2):
        assert json_bytes(one) != json_bytes(other)


def test_json_does_not_depend_on_the_order_of_keys() -> None:
    assert json_bytes({"a": 1, "b": {"c": 2, "d": 3}}) == json_bytes({"b": {"d": 3, "c": 2}, "a": 1})
    assert json_bytes([1, 2]) != json_bytes([2, 1])


def test_floats_are_their_bits() -> None:
    assert float_bytes([1.0, -2.5]) == struct.pack("<2f", 1.0, -2.5)
    assert float_bytes([0.1], "d") == struct.pack("<d", 0.1)
    # However many digits a server gives: it is the same float32.
    assert float_bytes([0.1]) == float_bytes([0.10000000149011612])
    assert float_bytes([0.1]) != float_bytes([0.10000000894069672])
    assert float_bytes([0.0]) != float_bytes([-0.0])
    assert float_bytes([None, 1.0]) == float_bytes([float("nan"), 1.0])


def test_the_order_of_a_sparse_vector_means_nothing() -> None:
    assert sparse_bytes({1: 0.5, 9: 1.5}) == sparse_bytes({9: 1.5, 1: 0.5})
    assert sparse_bytes({1: 0.5, 9: 1.5}) != sparse_bytes({1: 1.5, 9: 0.5})


def test_nothing_moves_between_the_parts_of_a_record() -> None:
    hashes = {
        record_hash("1", [("a", b"xy"), ("b", b"z")]),
        record_hash("1", [("a", b"x"), ("b", b"yz")]),
        record_hash("1", [("ax", b"y"), ("b", b"z")]),
        record_hash("1", [("a", b"xy"), ("b", b"z"), ("c", b"")]),
        record_hash("1", [("b", b"z"), ("a", b"xy")]),
        record_hash("1a", [("", b"xy"), ("b", b"z")]),
        record_hash("1", []),
        record_hash("", [("1", b"")]),
    }
    assert len(hashes) == 8
    assert all(0 <= each < 2**HASH_BITS for each in hashes)


def test_hashes_use_their_bits() -> None:
    assert max(record_hash(str(number), []) for number in range(200)) >= 2 ** (HASH_BITS - 1)
    assert 2 ** (FIELD_BITS - 1) <= max(field_hash(bytes([number])) for number in range(200)) < 2**FIELD_BITS
