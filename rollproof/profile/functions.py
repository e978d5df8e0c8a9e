"""The application's API as a profile describes it: the requests of each function, and what proves its answer.

In a path, a form and a body, ``{name}`` stands for a value: the canary's, or one that an earlier answer gave.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rollproof.errors import ProfileMistake, listed, shown
from rollproof.profile.sections import Model

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
"""Stands for a value by its name."""
EACH = "*"
"""The name in a place of an answer that stands for each item of a list."""
MERGED = "*"
"""The key in an object of a body whose value is an object that the other keys are added to."""
Kept = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Status = Annotated[int, Field(ge=300, le=599)]
Place = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
"""Where a value is in a JSON answer: names with dots between them, in a list ``*`` for each item or ``0``."""


class Call(Model):
    """One request, and what its answer gives."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """Method of the request."""
    path: Annotated[str, Field(pattern=r"^/[^\s\x00-\x1f\x7f]*$")]
    """Path after `application.api`. A value there is one segment, whatever is in it."""
    form: dict[str, str] = Field(default_factory=dict)
    """Fields of a form."""
    body: dict[str, Any] = Field(default_factory=dict)
    """Content of a JSON object.

    A text that is a placeholder alone stands for the value as it is, a number or an object. Under the key
    `*` is an object that the others are added to.
    """
    keep: dict[Kept, Place] = Field(default_factory=dict)
    """What the answer gives, each with its place there, such as `data.items.*.id`."""

    def placeholders(self) -> frozenset[str]:
        """Return the names of the values that it needs."""
        texts = [text for _, text in nodes_of((self.path, self.form, self.body)) if isinstance(text, str)]
        return frozenset(name for text in texts for name in PLACEHOLDER.findall(text))


class Forgetting(Call):
    """The request that removes something for good."""

    impossible: tuple[Status, ...] = ()
    """Statuses by which a release says that it cannot."""


class Choice(Model):
    """One value of an item of a list in an answer."""

    among: Place
    """Place of the items, such as `data.*`; ``*`` where the answer is the list."""
    where: Annotated[dict[Place, str], Field(min_length=1)]
    """Places in the item, and the texts that it has there; `{document}` and others stand for values."""
    at: Place
    """Place of the value in the item."""


class Sending(Call):
    """One of the requests that upload a document."""

    file: str = ""
    """Field of a multipart form that has the document; `form` are its other fields."""
    choose: dict[Kept, Choice] = Field(default_factory=dict)
    """Values of items of a list in the answer, each by what its item has."""


class Uploading(Model):
    """An upload: the requests that send a document, and those that remove all of it again."""

    requests: Annotated[tuple[Sending, ...], Field(min_length=1)]
    """Requests, one after the other; one of them sends the file.

    `{document}` is the document's name, another one each time. Where one keeps a `knowledge_base`, the others
    are about that one, and so is a question that has to find the document.
    """
    removal: Annotated[tuple[Call, ...], Field(min_length=1)]
    """Requests that remove the document, with all that the application made of it."""

    @model_validator(mode="after")
    def _removes_no_other(self) -> Self:
        own = {"document"}.union(*({*call.keep, *call.choose} for call in self.requests))
        for call in self.removal:
            if own.isdisjoint(call.placeholders()):
                raise ProfileMistake(
                    f"{{…}} of {listed(sorted(own))}, so that it removes no other", "none", "removal"
                )
        return self

    @property
    def apart(self) -> bool:
        """Whether the document is in a knowledge base of its own."""
        return any("knowledge_base" in {*call.keep, *call.choose} for call in self.requests)


class Opening(Model):
    """The requests that begin a conversation."""

    id: Annotated[str, Field(pattern=r"^\S*$")] = ""
    """Id that it is given, such as `{user}_{new}`, with `{new}`, which is another one each time.

    Without it, a request keeps the id that the application gives, as `conversation`.
    """
    requests: Annotated[tuple[Call, ...], Field(min_length=1)]
    """Requests, one after the other."""


class AnswerPart(Model):
    """A part of an answer."""

    at: Place
    """Place of it in the answer, or in each event."""
    where: dict[Place, str] = Field(default_factory=dict)
    """Places and values that an event has, if it has this part."""


class Chat(Call):
    """The question, and how its answer comes."""

    answer: Literal["events", "json", "text"] = "events"
    """How it comes: as server-sent events whose data is JSON, as one JSON document, or as plain text."""
    always: tuple[Place, ...] = ()
    """Places at which every event has a text; another event ends the answer irregularly."""
    end: str = ""
    """Data of the last event, such as `[DONE]`; without it the answer ends with the stream."""
    text: AnswerPart | None = None
    """The answer's words."""
    files: AnswerPart | None = None
    """Names of the files that the answer was made from."""


class Functions(Model):
    """The application's API: the requests by which verification uses it as the canary.

    A function that is not described is not verified, and the known limits of the post-mortem say so.
    """

    api: Literal["layra", "own"] = "layra"
    """Description to begin with: that of LAYRA, or none.

    With `layra`, a table here replaces the one of the same name.
    """
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "Authorization"
    """Header that has the token."""
    authorization: Annotated[str, Field(pattern=r"^[^{}\r\n]*\{token\}[^{}\r\n]*$")] = "Bearer {token}"
    """Value of that header."""
    log_in: tuple[Call, ...] = ()
    """Requests of a log-in, from `{user}` and `{password}`. One keeps the `token`.

    What else they keep is there for all other requests. Without any, the canary's password is the token.
    """
    log_out: Call | None = None
    """Request that ends a session, so that nothing of its log-in is left."""
    tokens: Literal["stored", "none"] = "stored"
    """Whether a log-in leaves something behind, which `log_out` or `application.canary.sweeper` removes."""
    owner: Call | None = None
    """Request that tells whose token it is, and keeps the `user`."""
    own: Call | None = None
    """Request for what belongs to the canary alone, or to `{owner}`: then another user's is asked for."""
    documents: Call | None = None
    """Request for the names of the documents in `{knowledge_base}`: it keeps each `name`.

    If it keeps the `total` too, it is asked for `{page}` after `{page}`, from 1, of `{page_size}`.
    """
    conversation: Opening | None = None
    """Beginning of a conversation, for an application that has them."""
    chat: Chat | None = None
    """Request that asks the canary's `{question}`."""
    conversations: Call | None = None
    """Request for the canary's conversations: it keeps each `conversation`."""
    turns: Call | None = None
    """Request for the turns of `{conversation}`: it keeps each `turn`."""
    forget: Forgetting | None = None
    """Request that removes `{conversation}`."""
    upload: Uploading | None = None
    """Upload of `application.canary.upload`, which is listed among the `documents` once it is taken in."""
    wrong_password: tuple[Status, ...] = (401,)
    """Statuses with which a wrong password is refused."""
    refused: tuple[Status, ...] = (401, 403, 404)
    """Statuses with which another user's token, or none, is refused."""
    gone: tuple[Status, ...] = (404,)
    """Statuses of a conversation, or a knowledge base, that was removed."""

    @model_validator(mode="before")
    @classmethod
    def _from_the_api(cls, table: Any) -> Any:  # noqa: ANN401 - whatever the profile holds
        """Begin with the description that `api` names."""
        if isinstance(table, Mapping) and table.get("api", "layra") == "layra":
            return {**_layra(), **table}
        return table

    @model_validator(mode="after")
    def _nothing_goes_unseen(self) -> Self:
        """Check what no request would show: a list that counts as one, and a removal of all there is."""
        for key, kept in _KEPT.items():
            several, calls = key in _LISTED, self._calls(key)
            place = next((call.keep[kept] for call in calls if kept in call.keep), "")
            named = key == "conversation" and self.conversation and self.conversation.id
            if calls and not named and (not place or (several and EACH not in place.split("."))):
                expected = f"keep to name the place of {kept}{' with * for each item' if several else ''}"
                raise ProfileMistake(expected, shown(place) if place else "none", key)
        for key, name in _NAMED.items():
            if not all(name in call.placeholders() for call in self._calls(key)):
                raise ProfileMistake(f"{{{name}}} in the request", "none", key)
        return self

    def described(self) -> frozenset[str]:
        """Return the names of the functions that verification can use."""
        found = {name for name in _FUNCTIONS if getattr(self, name)}
        if self.chat and self.chat.files:
            found.add("sources")
        if self.own and "owner" in self.own.placeholders():
            found.add("others")
        return frozenset(found)

    @staticmethod
    def known() -> frozenset[str]:
        """Return all that a check may need."""
        return _NEEDED | {*_FUNCTIONS}

    def undescribed(self) -> Iterator[str]:
        """Yield the names of the functions that are not described, in the order of the profile's keys."""
        return (name for name in _FUNCTIONS if not getattr(self, name))

    def _calls(self, key: str) -> tuple[Call, ...]:
        """Return the requests of a function, () if it is not described."""
        match getattr(self, key):
            case Call() as call:
                return (call,)
            case Opening(requests=calls) | tuple(calls):
                return calls
        return ()


# What an answer must give; for some it is a list.
_KEPT = {
    "log_in": "token",
    "owner": "user",
    "documents": "name",
    "conversation": "conversation",
    "conversations": "conversation",
    "turns": "turn",
}
_LISTED = frozenset({"documents", "conversations", "turns"})
# Without it a function would do something else than it is for, such as removing every conversation.
_NAMED = {"chat": "question", "turns": "conversation", "forget": "conversation"}
_NEEDED = frozenset({"others", "sources", "expected_text", "stored_tokens"})
_FUNCTIONS = (
    *("log_in", "owner", "own", "documents", "conversation", "chat"),
    *("conversations", "turns", "forget", "upload"),
)


def nodes_of(value: Any, key: str | None = None) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401 - JSON
    """Yield a JSON value and everything in it, each with its name in the object around it, or None."""
    yield key, value
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from nodes_of(one, name)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from nodes_of(one)


def _layra() -> dict[str, Any]:
    text = files("rollproof.profile").joinpath("apis", "layra.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
