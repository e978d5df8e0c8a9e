"""Values of Redis: names that are told apart, elements in any order, what a stream is."""

from __future__ import annotations

import pytest

from rollproof.stores.redis.values import TYPES, name_of, text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain", "plain"),
        ("ä €".encode(), "ä €"),
        (b"\xff", "\\xff"),
        (b"\\xff", "\\\\xff"),
        (b"a\nb", "a\\x0ab"),
        ("\u00a0".encode(), "\\xc2\\xa0"),
        (b"", ""),
    ],
)
def test_names_are_shown_so_that_no_two_look_the_same(name: bytes, shown: str) -> None:
    assert text(name) == shown
    assert name_of(shown) == name


def _of(kind: bytes, answer: object) -> bytes:
    return TYPES[kind].value(answer, frozenset()).digest


def test_a_stream_is_its_entries_and_what_its_groups_have_read() -> None:
    def stream(*, deliveries: int = 1, delivered: int = 5, consumer: bytes = b"c") -> bytes:
        group = {
            b"name": b"g",
            b"last-delivered-id": b"1-1",
            b"entries-read": 1,
            b"consumers": [{b"name": consumer}],
            b"pending": [[b"1-1", consumer, delivered, deliveries]],
        }
        return _of(
            b"stream",
            {
                b"length": 1,
                b"last-generated-id": b"1-1",
                b"entries": [[b"1-1", [b"a", b"1"]]],
                b"groups": [group],
            },
        )

    assert stream() == stream(delivered=7)
    assert len({stream(), stream(deliveries=2), stream(consumer=b"d")}) == 3


def test_excluded_fields_of_a_hash_are_in_no_digest() -> None:
    value = TYPES[b"hash"].value({b"a": b"1", b"b": b"2"}, frozenset({b"b"}))
    assert value.digest == _of(b"hash", {b"a": b"1"})
    assert set(value.fields) == {"field a"}
