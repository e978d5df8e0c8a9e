"""Canonical forms: different values have different forms."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.stores.canonical import hash_of_record, packed, record_of
from rollproof.stores.redis.values import name_of, text

# Bytes that a frame of another value may be taken for.
short_bytes = st.text("01:-a", max_size=4).map(str.encode)
bytes_or_none = st.none() | short_bytes


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


@given(st.binary(max_size=8) | st.text("a\\x0é\n\xa0\u200b").map(str.encode))
@example(b"\\xff")
@example(b"\xff")
def test_a_name_can_be_told_from_its_text(name: bytes) -> None:
    assert text(name).isprintable()
    assert name_of(text(name)) == name
