from __future__ import annotations

from rollproof.application.client import event_data

STREAM = 'data: {"a": 1}\n\n: a comment\nid: 7\ndata: zwei\ndata:  drei\n\ndata: ü\u2028x\r\n\r\n'.encode()
EVENTS = ['{"a": 1}', "zwei\n drei", "ü\u2028x"]


def test_events_are_the_same_however_the_stream_is_cut() -> None:
    for size in range(1, len(STREAM) + 1):
        chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
        assert list(event_data(chunks)) == EVENTS, size


def test_an_event_that_the_end_cuts_short_is_dropped() -> None:
    assert list(event_data([b"data: whole\n\ndata: cut"])) == ["whole"]
    assert list(event_data([b"data: whole\n\ndata: cut\n"])) == ["whole"]
