"""The API of an application as a profile describes it; the upload, and that nothing else is ever removed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from rollproof.application.canary import Canary
from rollproof.application.client import ApplicationClient, LoggedIn, Refused, filled, values_at
from rollproof.errors import Mismatch, Unverifiable
from rollproof.profile.application_profile import Application
from rollproof.profile.functions import Functions
from rollproof.profile.profile import load_target
from rollproof.redaction.secret import known_secrets
from tests.conftest import ROOT, write_profile
from tests.world.application import PASSWORD, SESSION, TOKEN, Exchange, Handler, StandIn, answer, profile

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


DOCUMENTS = {"path": "/l/{knowledge_base}", "keep": {"name": "*"}}
MAKE = {"method": "POST", "path": "/kb", "body": {"name": "{document}"}}
CHOOSE = {"kb": {"among": "*", "where": {"name": "{document}"}, "at": "id"}}
FIND = {"path": "/kbs", "choose": {"knowledge_base": CHOOSE["kb"]}}
SEND = {"method": "POST", "path": "/up/{knowledge_base}", "file": "files", "form": {"by": "{user}"}}
REMOVE = {"method": "DELETE", "path": "/kb/{knowledge_base}"}
APART = {"requests": [MAKE, FIND, SEND], "removal": [REMOVE]}
CONTENT = b"The keeper.\n"


@pytest.mark.parametrize(
    "removal", [[REMOVE], [{"path": "/{user}"}], [{"path": "/{document}"}, {"path": "/all"}], []]
)
def test_a_removal_of_what_is_not_the_upload_is_refused(removal: Sequence[Mapping[str, Any]]) -> None:
    upload = {"requests": [SEND], "removal": removal}
    with pytest.raises(ValidationError):
        Functions.model_validate({"api": "own", "documents": DOCUMENTS, "upload": upload})


def test_a_document_without_a_function_is_refused_and_a_function_without_one_is_not_verified(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_bytes(CONTENT)
    whole = profile().model_dump()
    assert "upload" not in Application.model_validate(whole).verifiable
    whole["canary"] |= {"password": SecretStr(PASSWORD), "upload": tmp_path / "a.txt"}
    assert "upload" in Application.model_validate(whole).verifiable
    whole["functions"] = {"api": "own"}
    with pytest.raises(ValidationError) as caught:
        Application.model_validate(whole)
    assert caught.value.errors()[0]["ctx"]["error"].key == "canary.upload"


class Library(dict[str, Handler]):
    """Knowledge bases with documents in them."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, list[str]] = {"kb": ["a.txt"]}
        self.names: dict[str, str] = {}
        self.sent: list[bytes] = []
        self.removes = True

    def __missing__(self, request: str) -> Handler:
        method, _, path = request.partition(" ")
        _, first, last = (*path.split("/"), "")[:3]
        return {
            "POST kb": self._make,
            "GET kbs": answer(200, [{"id": one, "name": name} for one, name in self.names.items()]),
            "POST up": lambda exchange: self._send(exchange, last),
            "GET l": lambda exchange: self._list(exchange, last),
            "DELETE kb": lambda exchange: self._remove(exchange, last),
        }.get(f"{method} {first}", answer(404, {"message": "no such thing"}))

    def _make(self, exchange: Exchange) -> None:
        one = f"kb-{len(self.names) + 1}"
        self.names[one] = exchange.body.decode().split('"')[3]
        self.held[one] = []
        exchange.reply(200, {"status": "success"})

    def _send(self, exchange: Exchange, place: str) -> None:
        self.sent.append(exchange.body)
        name = exchange.body.partition(b'filename="')[2].partition(b'"')[0].decode()
        self.held[place].append(name)
        exchange.reply(200, {"id": name})

    def _list(self, exchange: Exchange, place: str) -> None:
        exchange.reply(200, self.held[place]) if place in self.held else exchange.reply(404, {})

    def _remove(self, exchange: Exchange, one: str) -> None:
        if self.removes:
            self.held.pop(one, None)
        exchange.reply(200, {})


@pytest.fixture
def library(stand_in: StandIn) -> Library:
    library = Library()
    stand_in.answers = library
    return library


def canary_of(stand_in: StandIn, upload: Mapping[str, Any], folder: Path, **more: Any) -> Canary:  # noqa: ANN401 - functions
    (folder / "mine.txt").write_bytes(CONTENT)
    whole = profile().model_dump() | {"api": "", "upload_seconds": 0.1}
    whole["canary"] |= {
        "password": SecretStr(PASSWORD), "knowledge_base": "kb", "upload": folder / "mine.txt",
    }  # fmt: skip
    functions = {"api": "own", "tokens": "none", "documents": DOCUMENTS, "upload": upload, **more}
    application = Application.model_validate(whole | {"functions": functions})
    return Canary(Known(application), Unused(), ApplicationClient(application, stand_in), dict)  # type: ignore[arg-type]


class Known:
    """Stands for the target: all of it that an upload needs."""

    name = "sandbox"

    def __init__(self, application: Application) -> None:
        self.application = application


class Unused:
    """Stands for the engine, which nothing here asks."""


@pytest.mark.parametrize("request_", ["GET /kbs", "POST /up/kb-1"])
def test_one_that_fails_in_the_middle_never_removes_the_canary_s_own(
    stand_in: StandIn, library: Library, tmp_path: Path, request_: str
) -> None:
    library[request_] = answer(500, {"message": "broken"})
    canary = canary_of(stand_in, APART, tmp_path)
    with pytest.raises(Refused):
        canary.upload(SESSION)
    if "kbs" in request_:
        with pytest.raises(Unverifiable, match="value 'knowledge_base' of a request"):
            canary.forget()
    else:
        canary.forget()
        assert set(library.held) == {"kb"}
    assert library.held["kb"] == ["a.txt"]


def test_a_choice_of_the_canary_s_own_is_refused_before_anything_is_sent(
    stand_in: StandIn, library: Library, tmp_path: Path
) -> None:
    find = {"path": "/kbs", "keep": {"knowledge_base": "0.id"}}
    library["GET /kbs"] = answer(200, [{"id": "kb"}])
    canary = canary_of(stand_in, APART | {"requests": [MAKE, find, SEND]}, tmp_path)
    with pytest.raises(Mismatch, match="a knowledge base of the document's own, observed the canary's"):
        canary.upload(SESSION)
    with pytest.raises(Unverifiable, match="remove an upload by hand"):
        canary.forget()
    assert library.sent == []
    assert library.held["kb"] == ["a.txt"]


def test_a_removal_that_removes_nothing_is_seen(stand_in: StandIn, library: Library, tmp_path: Path) -> None:
    library.removes = False
    canary = canary_of(stand_in, APART, tmp_path)
    uploaded = canary.upload(SESSION)
    with pytest.raises(Mismatch, match=f"gone after its removal, observed {uploaded.name} is listed"):
        canary.forget()
