"""The client of the application: every answer is whole, in time and without a secret, or is an error."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from rollproof.application.client import ApplicationClient, Refused
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
