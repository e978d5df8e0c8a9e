"""Values of Redis: names that are told apart, elements in any order, what a stream is."""

from __future__ import annotations

from rollproof.stores.redis.values import TYPES


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
