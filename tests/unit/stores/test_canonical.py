"""No two records are taken for one."""

from __future__ import annotations

from itertools import combinations

from rollproof.stores.canonical import hash_of_record, hashed, packed, record_of
from rollproof.stores.contract import FIELD_BITS, HASH_BITS


def test_packed_values_are_unambiguous() -> None:
    every: list[list[bytes | None]] = [
        [],
        [b""],
        [None],
        [b"", None],
        [None, b""],
        [b"", b""],
        [b"ab", b"c"],
        [b"a", b"bc"],
        [b"abc"],
        [b"a", b"b", b"c"],
        [b"-"],
        [b"0:"],
        [b"1:a"],
        [packed([b"ab", b"c"])],
        [b"ab", None, b"c"],
    ]
    for first, second in combinations(every, 2):
        assert packed(first) != packed(second)


def test_a_hash_has_its_bits() -> None:
    hashes = [hashed(b"%d" % number, HASH_BITS) for number in range(1000)]
    assert len(set(hashes)) == 1000
    assert 2 ** (HASH_BITS - 1) < max(hashes) < 2**HASH_BITS
    assert max(hashed(b"%d" % number, FIELD_BITS) for number in range(1000)) < 2**FIELD_BITS


def test_a_record_is_its_identity_and_its_fields() -> None:
    record = record_of("one", b"1", {"a": b"x", "b": None}, 5.0)
    assert record.hash == hash_of_record(b"1", {"a": b"x", "b": None})
    assert (record.key, record.expires, list(record.fields)) == ("one", 5.0, ["a", "b"])
    for identity, fields in (
        (b"2", {"a": b"x", "b": None}),
        (b"1", {"a": b"x", "b": b""}),
        (b"1", {"a": b"x"}),
        (b"1", {"a": None, "b": b"x"}),
        (b"1", {"ab": b"x", "": None}),
    ):
        assert hash_of_record(identity, fields) != record.hash
    assert record.fields["a"] == record_of("two", b"2", {"a": b"x"}).fields["a"]
    assert record.fields["a"] != record.fields["b"]
