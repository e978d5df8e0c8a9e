"""The application's API as a profile describes it: mistakes in it, and what its requests send and read."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rollproof.application.calls import filled, values_at
from rollproof.application.client import ApplicationClient, LoggedIn, Refused
from rollproof.errors import Mismatch
from rollproof.profile.application_profile import Application
from rollproof.profile.profile import load_target
from rollproof.redaction.secret import known_secrets
from tests.conftest import ROOT, write_profile
from tests.world.application import PASSWORD, TOKEN, Handler, StandIn, answer, profile

LOG_IN = {"method": "POST", "path": "/in", "body": {"password": "{password}"}, "keep": {"token": "t"}}
CHAT = {"method": "POST", "path": "/ask", "body": {"q": "{question}"}}
TEXT = {"at": "answer"}
CANARY = {"user": "canary", "password": SecretStr(PASSWORD), "knowledge_base": "kb", "question": "?"}


def client_of(stand_in: StandIn, **functions: Any) -> ApplicationClient:  # noqa: ANN401 - of a profile
    canary = CANARY | {"expected_text": "light", "expected_file": "a.txt"}
    changed = profile().model_dump() | {
        "api": "",
        "canary": canary,
        "functions": {"api": "own", **functions},
    }
    return ApplicationClient(Application.model_validate(changed), stand_in)


def test_an_application_with_a_key_has_no_log_in(stand_in: StandIn) -> None:
    client = client_of(stand_in, header="X-Key", authorization="{token}", own={"path": "/{owner}"})
    stand_in.answers["GET /canary"] = answer(200, [])
    session = client.login("canary", SecretStr(PASSWORD))
    client.own(session)
    assert client.owner(session) == "canary"
    assert stand_in.seen[0].headers["X-Key"] == PASSWORD
    assert "Authorization" not in stand_in.seen[0].headers


def test_a_log_in_of_several_requests_gives_what_later_ones_need(stand_in: StandIn) -> None:
    client = client_of(
        stand_in,
        log_in=[
            {"path": "/hello/{user}", "keep": {"nonce": "nonce", "number": "people.*.id"}},
            LOG_IN | {"body": {"key": "{nonce}-{password}", "number": "{nonce}"}},
        ],
        own={"path": "/people/{number}"},
    )
    stand_in.answers["GET /hello/canary"] = answer(200, {"nonce": 7, "people": [{"id": 12}]})
    stand_in.answers["POST /in"] = answer(200, {"t": TOKEN})
    stand_in.answers["GET /people/12"] = answer(200, {})
    session = client.login("canary", SecretStr(PASSWORD))
    assert json.loads(stand_in.seen[1].body) == {"key": f"7-{PASSWORD}", "number": 7}
    client.own(session)
    stand_in.answers["GET /hello/canary"] = answer(200, {"nonce": 7, "people": [{"id": 1}, {"id": 2}]})
    with pytest.raises(Mismatch, match=r"one value under people\.\*\.id, observed 2"):
        client.login("canary", SecretStr(PASSWORD))


def test_a_request_after_the_token_has_it(stand_in: StandIn) -> None:
    log_in = [LOG_IN, {"path": "/me", "body": {"again": "{token}"}, "keep": {"number": "id"}}]
    client = client_of(stand_in, log_in=log_in)
    stand_in.answers["POST /in"] = answer(200, {"t": TOKEN})
    stand_in.answers["GET /me"] = answer(200, {"id": 7})
    session = client.login("canary", SecretStr(PASSWORD))
    assert dict(session.values) == {"number": 7}
    assert [exchange.headers.get("Authorization") for exchange in stand_in.seen] == [None, f"Bearer {TOKEN}"]
    assert json.loads(stand_in.seen[1].body) == {"again": TOKEN}
    stand_in.answers["GET /me"] = answer(500, {"message": f"not {TOKEN}"})
    with pytest.raises(Refused) as caught:
        client.login("canary", SecretStr(PASSWORD))
    assert TOKEN not in str(caught.value)


def test_a_token_is_a_secret_whatever_is_wrong_with_its_answer(stand_in: StandIn) -> None:
    """Nothing else is: an id that a log-in gives is in the stores, too, and would be called a leak there."""
    number = "9d1f5a1e-0000-4000-8000-000000000000"
    client = client_of(stand_in, log_in=[LOG_IN | {"keep": {"number": "n", "token": "t", "id": "i"}}])
    stand_in.answers["POST /in"] = answer(200, {"n": 7, "t": TOKEN, "i": number})
    session = client.login("canary", SecretStr(PASSWORD))
    assert "9d1f5a1e" not in repr(session)
    assert not any("9d1f5a1e" in one for one in known_secrets())
    other = "another.staple.of.nobody"
    stand_in.answers["POST /in"] = answer(200, {"n": None, "t": other})
    with pytest.raises(Mismatch, match="one value under n, observed none"):
        client.login("canary", SecretStr(PASSWORD))
    assert other in known_secrets()


@pytest.mark.parametrize("odd", ["..", ".", ""])
def test_an_id_that_is_no_segment_of_a_path_asks_for_nothing(stand_in: StandIn, odd: str) -> None:
    client = client_of(stand_in, turns={"path": "/c/{conversation}", "keep": {"turn": "*"}})
    with pytest.raises(Mismatch, match="a text that can stand in a path for conversation"):
        client.turns(LoggedIn("canary", SecretStr(TOKEN)), odd)
    assert stand_in.seen == []


def test_a_conversation_whose_beginning_fails_is_known(stand_in: StandIn) -> None:
    post = {"method": "POST", "keep": {"conversation": "id"}}
    client = client_of(
        stand_in,
        conversation={"requests": [post | {"path": "/chats"}, {"path": "/chats/{conversation}/model"}]},
    )
    stand_in.answers["POST /chats"] = answer(200, {"id": "c-1"})
    stand_in.answers["GET /chats/c-1/model"] = answer(500, {})
    begun = list[str]()
    with pytest.raises(Refused):
        client.create_conversation(LoggedIn("canary", SecretStr(TOKEN)), "kb", begun.append)
    assert begun == ["c-1"]


def test_ids_that_the_application_gives_are_used(stand_in: StandIn) -> None:
    client = client_of(
        stand_in,
        conversation={
            "requests": [{"method": "POST", "path": "/chats", "keep": {"conversation": "chat.id"}}]
        },
        conversations={"path": "/chats", "keep": {"conversation": "*.id"}},
        turns={"path": "/chats/{conversation}", "keep": {"turn": "*"}},
        forget={"method": "DELETE", "path": "/chats/{conversation}"},
    )
    session = LoggedIn("canary", SecretStr(TOKEN))
    stand_in.answers["POST /chats"] = answer(200, {"chat": {"id": 12}})
    stand_in.answers["GET /chats"] = answer(200, [{"id": 12}, {"id": 3}])
    stand_in.answers["GET /chats/12"] = answer(200, ["a", "b"])
    stand_in.answers["DELETE /chats/12"] = answer(200, {})
    assert client.create_conversation(session, "kb") == "12"
    assert client.conversations(session) == ("12", "3")
    assert client.turns(session, "12") == 2
    assert client.delete_conversation(session, "12")


def _streamed(*events: bytes) -> Handler:
    return lambda exchange: exchange.events(*events)


DELTA = b'{"choices": [{"delta": {"content": "a light"}}]}'
STREAMED = CHAT | {"text": {"at": "choices.*.delta.content"}, "end": "[DONE]"}


@pytest.mark.parametrize(
    ("chat", "told", "text", "ending"),
    [
        (STREAMED, _streamed(DELTA, b'{"choices": [{"delta": {}}]}', b"[DONE]"), "a light", "regular"),
        (STREAMED, _streamed(DELTA), "a light", "no [DONE]"),
        (STREAMED, _streamed(DELTA, b"{"), "a light", "an event that is not JSON"),
        (STREAMED, _streamed(DELTA, b"[7]", b"[DONE]"), "a light", "an event that is no object"),
        (STREAMED | {"always": ["id"]}, _streamed(DELTA, b"[DONE]"), "", "an event without id"),
        (CHAT | {"answer": "json", "text": TEXT}, answer(200, {"answer": "a light"}), "a light", "regular"),
        (CHAT | {"answer": "json", "text": TEXT}, answer(200, {"answer": [1]}), "", "regular"),
        (CHAT | {"answer": "json", "text": TEXT}, answer(200, "hm"), "", "an answer that is not JSON"),
        (CHAT | {"answer": "text"}, answer(200, "a light"), "a light", "regular"),
    ],
)
def test_an_answer_is_read_as_it_comes(
    stand_in: StandIn,
    chat: Mapping[str, Any],
    told: Handler,
    text: str,
    ending: str,
) -> None:
    client = client_of(stand_in, chat=chat)
    stand_in.answers["POST /ask"] = told
    found = client.chat(LoggedIn("canary", SecretStr(TOKEN)), "", "Who?")
    assert json.loads(stand_in.seen[0].body) == {"q": "Who?"}
    assert (found.text, found.ending, found.complete) == (text, ending, ending == "regular")


def test_values_stand_where_their_names_are() -> None:
    values = {"a": {"x": 1}, "n": 7, "s": SecretStr("secret")}
    found = filled({"*": "{a}", "y": ["{n}", "no. {n}", True, None], "z": {"s": "{s}", "t": "<{s}>"}}, values)
    assert found["x"] == 1
    assert found["y"] == [7, "no. 7", True, None]
    assert found["z"]["s"] == SecretStr("secret")
    assert found["z"]["t"] == SecretStr("<secret>")
    with pytest.raises(Mismatch, match="expected a JSON object, observed int"):
        filled({"*": "{n}"}, values)


@pytest.mark.parametrize(
    ("answered", "place", "words"),
    [
        ([], "a", "a JSON object in a"),
        ({"a": {}}, "a.*", "a list in"),
        ({"a": 1}, "a.b", "a JSON object in"),
        ([1], "0.a", "a JSON object in"),
    ],
)
def test_an_answer_of_another_shape_is_a_mismatch(answered: object, place: str, words: str) -> None:
    with pytest.raises(Mismatch, match=words):
        values_at(answered, place, "GET /")


def test_the_examples_of_the_documentation_are_whole(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "application.md").read_text(encoding="utf-8")
    first, second = (
        tomllib.loads(text)["application"] for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    )
    first["canary"]["password"] = SecretStr(PASSWORD)
    more = {"services": ["backend"], "repository": "."}
    known = {*("log_in", "own", "others", "documents", "chat", "expected_text", "stored_tokens")}
    assert Application.model_validate({**first, **more}).verifiable == known
    document = tmp_path / second["canary"]["upload"]
    document.write_text("The tide comes in at noon.")
    first["canary"]["upload"] = document
    first["functions"] |= second["functions"]
    assert Application.model_validate({**first, **more}).verifiable == {*known, "upload"}


def test_a_record_is_the_canary_s_by_a_field_that_begins_with_its_name(tmp_path: Path) -> None:
    application = load_target(write_profile(tmp_path)).application
    user = application.canary.user
    its = (
        f"colqwen{user}_3ad0",
        {"fields": [{"username": user}]},
        {"file_id": f"{user}_3ad0"},
        {"payload": {"filename": "rollproof-3ad0.txt"}},
    )
    others = ("colqwenmira_3ad0", {"text": f"released to a {user}_group by rollproof-verifier", "page": 1})
    assert [one for one in (*its, *others) if application.is_canarys(one)] == [*its]
