"""The canary's upload: how it is described, what is sent, and that nothing but it is ever removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from rollproof.application.canary import Canary
from rollproof.application.client import ApplicationClient, Refused
from rollproof.errors import Mismatch, Unverifiable
from rollproof.profile.application_profile import Application
from rollproof.profile.functions import Functions
from tests.world.application import PASSWORD, SESSION, Exchange, Handler, StandIn, answer, profile

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


CHAT = {"method": "POST", "path": "/ask", "body": {"q": "{question}"}, "answer": "json"}


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
