"""The client of the application: every answer is whole, in time and without a secret, or is an error."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from rollproof.application.client import ApplicationClient, Refused, event_data
from rollproof.errors import Mismatch
from tests.world.application import (
    PASSWORD,
    SESSION,
    Exchange,
    Handler,
    StandIn,
    answer,
    profile,
)


@pytest.fixture
def client(stand_in: StandIn) -> ApplicationClient:
    return ApplicationClient(profile(), stand_in)


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"no: {PASSWORD}"},
        {"detail": [{"input": PASSWORD}]},
        f"no: {PASSWORD}",
        [PASSWORD],
        {"message": {"deep": PASSWORD}},
    ],
)
def test_a_refusal_has_its_status_and_no_secret(
    stand_in: StandIn, client: ApplicationClient, body: object
) -> None:
    stand_in.answers["POST /api/v1/auth/login"] = answer(401, body)
    with pytest.raises(Refused) as caught:
        client.login("canary", SecretStr(PASSWORD))
    assert caught.value.status == 401
    assert "observed 401: no" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def _pages(names: list[str], total: int | None = None) -> Handler:
    def page(exchange: Exchange) -> None:
        query = json.loads(exchange.body)
        start = (query["page"] - 1) * query["page_size"]
        found = [{"filename": name} for name in names[start : start + query["page_size"]]]
        exchange.reply(200, {"data": found, "total": len(names) if total is None else total})

    return page


@pytest.mark.parametrize("count", [0, 100, 101, 250])
def test_files_are_read_over_all_pages(stand_in: StandIn, client: ApplicationClient, count: int) -> None:
    names = [f"{n:03}.txt" for n in range(count)]
    stand_in.answers["POST /api/v1/base/knowledge_bases/canary_kb/files"] = _pages(names[::-1])
    assert client.files(SESSION, "canary_kb") == tuple(names)


@pytest.mark.parametrize("total", [1, 5, "7"])
def test_files_that_do_not_add_up_are_a_mismatch(
    stand_in: StandIn, client: ApplicationClient, total: int
) -> None:
    path = "POST /api/v1/base/knowledge_bases/canary_kb/files"
    stand_in.answers[path] = _pages(["a.txt", "b.txt"], total)
    with pytest.raises(Mismatch, match=f"expected {total} files over all pages, observed 2 files"):
        client.files(SESSION, "canary_kb")


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
