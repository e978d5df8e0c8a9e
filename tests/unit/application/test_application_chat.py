"""The client's conversations: made, asked over a stream that may break or never end, and deleted."""

from __future__ import annotations

import pytest

from rollproof.application.client import ApplicationClient, Refused, event_data
from tests.world.application import SESSION, StandIn, answer, profile


@pytest.fixture
def client(stand_in: StandIn) -> ApplicationClient:
    return ApplicationClient(profile(), stand_in)


EVENTS = (
    {"type": "file_used", "data": [{"file_name": "a.txt"}, {"file_name": "b.txt"}, {"file_name": "a.txt"}]},
    {"type": "thinking", "data": "hm"},
    {"type": "text", "data": "every four "},
    {"type": "text", "data": "hours"},
    {"type": "token", "total_token": 7},
)


def test_a_chat_that_breaks_is_not_complete(stand_in: StandIn, client: ApplicationClient) -> None:
    stand_in.answers["POST /api/v1/sse/chat"] = lambda exchange: exchange.events(*EVENTS[:3], ended=False)
    chat = client.chat(SESSION, "canary_1", "how often?")
    assert not chat.complete
    assert chat.ending.startswith("broken: RemoteProtocolError")
    assert (chat.files, chat.text) == (("a.txt", "b.txt"), "every four ")


@pytest.mark.parametrize(("status", "deleted"), [(200, True), (404, True), (405, False)])
def test_a_conversation_is_deleted_where_the_api_can(
    stand_in: StandIn, client: ApplicationClient, status: int, *, deleted: bool
) -> None:
    stand_in.answers["DELETE /api/v1/chat/conversations/canary_1"] = answer(status, {})
    assert client.delete_conversation(SESSION, "canary_1") is deleted
    stand_in.answers["DELETE /api/v1/chat/conversations/canary_1"] = answer(500, {})
    with pytest.raises(Refused, match="500"):
        client.delete_conversation(SESSION, "canary_1")


STREAM = 'data: {"a": 1}\n\n: a comment\nid: 7\ndata: zwei\ndata:  drei\n\ndata: ü\u2028x\r\n\r\n'.encode()
SENT = ['{"a": 1}', "zwei\n drei", "ü\u2028x"]


def test_events_are_the_same_however_the_stream_is_cut() -> None:
    for size in range(1, len(STREAM) + 1):
        chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
        assert list(event_data(chunks)) == SENT, size


def test_an_event_that_the_end_cuts_short_is_dropped() -> None:
    assert list(event_data([b"data: whole\n\ndata: cut"])) == ["whole"]
    assert list(event_data([b"data: whole\n\ndata: cut\n"])) == ["whole"]
