"""The application's API as its clients see it, asked as any user would ask, by the requests of the profile.

Read-only, except for the traces of phase 3: a log-in may leave a token, and a question a conversation.
`delete_conversation` and `log_out` remove them, where the API can.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import SecretStr

from rollproof.errors import Meaning, Mismatch, Unverifiable, shown
from rollproof.profile.application_profile import Application
from rollproof.profile.functions import (
    EACH,
    MERGED,
    PLACEHOLDER,
    AnswerPart,
    Call,
    Chat,
    Choice,
    Sending,
    Uploading,
)
from rollproof.redaction.secret import remember
from rollproof.system.files import canonical_json
from rollproof.system.http import (
    Answer,
    Cutoff,
    Request,
    fetch,
    limited_chunks,
    opened,
    unwrapped,
    whole_body,
)

if TYPE_CHECKING:
    from httpx2 import BaseTransport


_FIRST_ERROR = 500
_SUCCESS = range(200, 300)
# A page may send on to another by design.
_SHOWN = range(200, 400)
# Requests that a usual time is the median of; a single slow one does not move it.
_TIMES = 5
# Below this, nobody notices a tripled time, and a busy machine can cause one.
_LEAST_MILLISECONDS = 25.0

Values = Mapping[str, Any]
"""The values that stand in requests, by name."""


def _value_of(values: Values, name: str) -> Any:  # noqa: ANN401 - JSON
    if name not in values:
        raise Unverifiable(
            what=f"value {name!r} of a request",
            expected="an earlier answer that gives it",
            observed="none",
            source="application.functions of the profile",
            hint="see why the canary's log-in or upload fails, or correct the name; remove an upload by hand",
        )
    return values[name]


def filled_path(template: str, values: Values) -> str:
    """Return a path with each placeholder's value as one segment; raises `Mismatch` if that cannot be."""

    def segment(found: re.Match[str]) -> str:
        text = str(_value_of(values, found[1]))
        if text in {"", ".", ".."}:
            raise other_shape(f"a text that can stand in a path for {found[1]}", shown(text), template)
        return quote(text, safe="")

    return PLACEHOLDER.sub(segment, template)


def filled(template: Any, values: Values) -> Any:  # noqa: ANN401 - JSON
    """Return `template` with the `values` in the places of its placeholders.

    A text that is a placeholder alone becomes the value as it is. A text with a secret in it is a secret.
    """
    match template:
        case str():
            if alone := PLACEHOLDER.fullmatch(template):
                return _value_of(values, alone[1])
            used = [_value_of(values, name) for name in PLACEHOLDER.findall(template)]
            text = PLACEHOLDER.sub(lambda found: str(unwrapped(values[found[1]])), template)
            return SecretStr(text) if any(isinstance(value, SecretStr) for value in used) else text
        case Mapping():
            merged = filled(template[MERGED], values) if MERGED in template else {}
            if not isinstance(merged, Mapping):
                raise other_shape("a JSON object", type(merged).__name__, f"{MERGED} of a body")
            return {**merged, **{key: filled(one, values) for key, one in template.items() if key != MERGED}}
        case list() | tuple():
            return [filled(one, values) for one in template]
    return template


def values_at(answer: object, place: str, source: str) -> list[Any]:
    """Return the values at a `place` of a JSON answer, such as ``data.*.name``; one without ``*``."""
    found = [answer]
    for name in place.split("."):
        found = list(_below(found, name, place, source))
    return found


def _below(values: list[Any], name: str, place: str, source: str) -> Iterator[Any]:
    for value in values:
        if name == EACH:
            if not isinstance(value, list):
                raise other_shape(f"a list in {place}", type(value).__name__, source)
            yield from value
        elif isinstance(value, list) and name.isascii() and name.isdecimal():
            yield value[int(name)] if int(name) < len(value) else None
        else:
            if not isinstance(value, Mapping):
                raise other_shape(f"a JSON object in {place}", type(value).__name__, source)
            yield value.get(name)


def chosen_at(answer: object, choice: Choice, where: Mapping[str, str], source: str) -> list[Any]:
    """Return the values at the place of a `choice` in those items that are as `where` says."""
    items = values_at(answer, choice.among, source)
    wanted = [
        item for item in items if all(values_at(item, at, source) == [text] for at, text in where.items())
    ]
    return [value for item in wanted for value in values_at(item, choice.at, source)]


def texts_at(answer: object, place: str, source: str) -> list[str]:
    """Return the texts at a `place` of a JSON answer. See `values_at`."""
    found = values_at(answer, place, source)
    for value in found:
        if not isinstance(value, str) or not value:
            raise other_shape(f"text under {place}", type(value).__name__, source)
    return found


def ids_at(answer: object, place: str, source: str) -> list[str]:
    """Return the ids at a `place` of a JSON answer: texts, or whole numbers. See `texts_at`."""
    found = values_at(answer, place, source)
    numbers = [isinstance(value, int) and not isinstance(value, bool) for value in found]
    return [str(value) for value in found] if numbers and all(numbers) else texts_at(answer, place, source)


def parts_of(event: object, part: AnswerPart | None) -> list[str]:
    """Return the texts of a `part` that an event has; what is of another shape has none."""
    if part is None:
        return []
    try:
        for place, wanted in part.where.items():
            if values_at(event, place, "") != [wanted]:
                return []
        return [value for value in values_at(event, part.at, "") if isinstance(value, str)]
    except Mismatch:
        return []


def other_shape(expected: str, observed: str, source: str) -> Mismatch:
    """Return the error for an answer of another shape; `observed` must not show what may be a secret."""
    return Mismatch(
        what="answer of the application",
        expected=expected,
        observed=observed,
        source=source,
        hint="compare the API of the running release with application.functions of the profile",
    )


Kind = TypeVar("Kind")
PAGE_SIZE = 100
# What an answer gives is taken as it is, except for these.
_READ_BY: Mapping[str, Callable[[object, str, str], list[Any]]] = {
    **dict.fromkeys(("user", "conversation"), ids_at),
    "token": texts_at,
}
MESSAGE_LENGTH = 200


def event_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event of a stream of UTF-8 `chunks`, however they are cut.

    As the standard demands, an event that the stream's end cuts short is dropped. Comments and other fields
    are skipped. Lines end with LF, or with CR and LF.
    """
    lines: list[str] = []
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in (one.removesuffix(b"\r").decode(errors="replace") for one in complete):
            if not line:
                if lines:
                    yield "\n".join(lines)
                lines = []
            elif line.partition(":")[0] == "data":
                lines.append(line.partition(":")[2].removeprefix(" "))


class Refused(Mismatch):
    """The application answered with another status than the expected one."""

    def __init__(self, request: Request, status: int, body: object, hint: str = "") -> None:
        """Quote the answer's message, without the request's secrets."""
        message = body.get("message", body.get("detail")) if isinstance(body, Mapping) else body
        # A list of validation errors repeats the request.
        words = message if isinstance(message, str) else "no message"
        super().__init__(
            what="application",
            expected="a status of success",
            observed=f"{status}: {request.without_secrets(words)[:MESSAGE_LENGTH]}",
            source=str(request),
            hint=hint or "see the backend's log, and user, password and knowledge_base of application.canary",
            means=Meaning.SERVICE_DOWN,
        )
        self.status = status


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A logged-in user, with what else the log-in gave. Also made by hand, to see a stale token refused."""

    user: str
    token: SecretStr
    values: Values = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """An answer: the names of its source files, best first, its text, and its `ending` in words.

    A proxy that speaks HTTP/1.0 to the backend makes a broken stream look regular: ask also for the
    conversation's turns.
    """

    files: tuple[str, ...]
    text: str
    ending: str

    @property
    def complete(self) -> bool:
        """Whether it came to a regular end."""
        return self.ending == "regular"


class ApplicationClient:
    """A client of the application's API. Every call opens its own connection and has a deadline.

    Every call raises `Unverifiable` when no complete answer comes in time, and `Refused` for a status other
    than success. It raises `Mismatch` for an answer of a shape that the API does not have.
    """

    def __init__(self, application: Application, transport: httpx2.BaseTransport | None = None) -> None:
        """Take its profile; `transport` None is the network."""
        self._application, self._transport = application, transport
        self._functions = application.functions
        self._url = str(application.url).rstrip("/")
        self._base = self._url + application.api

    def health(self) -> Answer:
        """Ask the health endpoint; any status is an answer."""
        return self._ask(self._get(self._base + self._application.health.path))

    def interface_digest(self) -> str:
        """Return the SHA-256 of the application's OpenAPI document, in one spelling."""
        request = self._get(f"{self._url}{self._application.interface}")
        hint = 'application.interface in the profile: the path of its OpenAPI document, "" if it has none'
        document = self._success(request, hint)
        if not isinstance(document, Mapping):
            raise other_shape("a JSON object", type(document).__name__, str(request))
        return hashlib.sha256(canonical_json(dict(document))).hexdigest()

    def page_digest(self) -> str:
        """Return the SHA-256 of the first page, or "" if there is none."""
        answer = self._ask(self._get(f"{self._url}/"))
        if not httpx2.codes.is_success(answer.status):
            return ""
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return hashlib.sha256(text.encode()).hexdigest()

    def page_status(self) -> int:
        """Return the status of the first page, such as 307 of one that sends on; 0 for a server's error."""
        status = self._ask(Request("GET", f"{self._url}/")).status
        return status if status < _FIRST_ERROR else 0

    def usual_milliseconds(self) -> dict[str, float]:
        """Return the response times of ``health`` and ``page``, each the median of several requests.

        A time is left out unless all its answers are right: a monitor compares it with right ones only.
        """
        found = {}
        health = self._base + self._application.health.path
        for name, url, right in (("health", health, _SUCCESS), ("page", f"{self._url}/", _SHOWN)):
            answers = [self._ask(Request("GET", url)) for _ in range(_TIMES)]
            if all(answer.status in right for answer in answers):
                taken = median(answer.milliseconds for answer in answers)
                found[name] = round(max(_LEAST_MILLISECONDS, taken), 3)
        return found

    def login(self, user: str, password: SecretStr) -> LoggedIn:
        """Log in; the application may keep something of it, such as the token in a store."""
        values = {"user": user, "password": password}
        given = self._asked(self._functions.log_in, values)
        return LoggedIn(user, given.pop("token", password), given)

    def log_out(self, session: LoggedIn) -> bool:
        """End a session; return False if no request for that is described."""
        if self._functions.log_out is None:
            return False
        self._success(self._request(self._functions.log_out, self._values(session), session))
        return True

    def owner(self, session: LoggedIn) -> str:
        """Return the token's owner, as the application tells it; where no request tells, who logged in."""
        call = self._functions.owner
        return str(self._asked([call], self._values(session), session)["user"]) if call else session.user

    def own(self, session: LoggedIn, of: str = "") -> None:
        """Ask for what belongs to the user alone, or to another one."""
        values = self._values(session) | {"owner": of or session.user}
        self._success(self._request(self._described("own", Call), values, session))

    def files(self, session: LoggedIn, knowledge_base: str) -> tuple[str, ...]:
        """Return the names of all documents of a knowledge base, sorted."""
        call = self._described("documents", Call)
        names: list[str] = []
        for page in count(1):
            pages = {"knowledge_base": knowledge_base, "page": page, "page_size": PAGE_SIZE}
            request = self._request(call, self._values(session) | pages, session)
            body = self._success(request)
            found = texts_at(body, call.keep["name"], str(request))
            names += found
            if "total" not in call.keep:
                break
            total = _one(values_at(body, call.keep["total"], str(request)), call.keep["total"], request)
            if len(names) == total:
                break
            if not found or not isinstance(total, int) or len(names) > total:
                raise other_shape(f"{total} files over all pages", f"{len(names)} files", str(request))
        return tuple(sorted(names))

    def create_conversation(
        self, session: LoggedIn, knowledge_base: str, begun: Callable[[str], object] = lambda _: None
    ) -> str:
        """Create a conversation about one knowledge base; return its id, "" where there are none.

        `begun` is called with the id as soon as there may be one, even if a later request fails.
        """
        opening = self._functions.conversation
        if opening is None:
            return ""
        values = self._values(session) | {"knowledge_base": knowledge_base, "new": str(uuid.uuid4())}
        if opening.id:
            values["conversation"] = str(filled(opening.id, values))
            begun(values["conversation"])
        for call in opening.requests:
            given = self._asked([call], values, session)
            if "conversation" in given:
                begun(given["conversation"])
            values |= given
        return str(values["conversation"])

    def chat(self, session: LoggedIn, conversation: str, question: str) -> ChatAnswer:
        """Ask `question` and read the answer to its end, `chat_seconds` at most.

        A stream that breaks or never ends still gives an answer, which is not `complete`.
        """
        call = self._described("chat", Chat)
        values = self._values(session) | {"conversation": conversation, "question": question}
        request = self._request(call, values, session)
        with opened(request, self._application.chat_seconds, self._transport) as (response, cutoff):
            if not response.is_success:
                raise Refused(request, response.status_code, whole_body(response, cutoff))
            files, text, ending = _listen(call, response, cutoff)
        return ChatAnswer(tuple(dict.fromkeys(files)), text, ending or "regular")

    def conversations(self, session: LoggedIn) -> tuple[str, ...]:
        """Return the ids of the user's conversations, sorted."""
        call = self._described("conversations", Call)
        request = self._request(call, self._values(session), session)
        return tuple(sorted(ids_at(self._success(request), call.keep["conversation"], str(request))))

    def turns(self, session: LoggedIn, conversation: str) -> int:
        """Return the number of turns that the application kept of a conversation."""
        call = self._described("turns", Call)
        request = self._request(call, self._values(session) | {"conversation": conversation}, session)
        return len(values_at(self._success(request), call.keep["turn"], str(request)))

    def delete_conversation(self, session: LoggedIn, conversation: str) -> bool:
        """Delete a conversation, or see that it is gone; return False if this application's API cannot."""
        call = self._functions.forget
        if call is None:
            return False
        request = self._request(call, self._values(session) | {"conversation": conversation}, session)
        answer = self._ask(request)
        if answer.status in call.impossible:
            return False
        # Its beginning may have failed.
        if not httpx2.codes.is_success(answer.status) and answer.status not in self._functions.gone:
            raise Refused(request, answer.status, answer.body)
        return True

    def upload(
        self, session: LoggedIn, name: str, content: bytes, begun: Callable[[LoggedIn], object]
    ) -> LoggedIn:
        """Upload a document under `name`; return the session whose requests are about where it is.

        `begun` is called with such a session as soon as there may be something to remove, even if a later
        request fails.
        """
        own = self._application.canary.knowledge_base
        for call in self._described("upload", Uploading).requests:
            if call.file:
                begun(session)
            values = self._values(session) | {"document": name}
            files = {call.file: (name, content)} if call.file else None
            given = self._asked([call], values, session, files)
            if given.get("knowledge_base") == own:
                raise other_shape("a knowledge base of the document's own", "the canary's", call.path)
            session = replace(session, values={**session.values, **given})
            begun(session)
        return session

    def remove_upload(self, session: LoggedIn, name: str) -> None:
        """Remove a document that was uploaded in `session`."""
        upload = self._described("upload", Uploading)
        values = self._values(session) | {"document": name}
        if upload.apart and "knowledge_base" not in session.values:
            del values["knowledge_base"]  # that is the canary's own
        for call in upload.removal:
            self._asked([call], values, session)

    def _described(self, name: str, kind: type[Kind]) -> Kind:
        call = getattr(self._functions, name)
        if not isinstance(call, kind):
            raise TypeError(f"no function {name} is described")
        return call

    def _values(self, session: LoggedIn) -> dict[str, Any]:
        """Return the values that every request after a log-in may use."""
        canary = self._application.canary
        own = {"user": session.user, "token": session.token, "knowledge_base": canary.knowledge_base}
        return {**own, **session.values}

    def _asked(
        self,
        calls: Sequence[Call],
        values: Mapping[str, Any],
        session: LoggedIn | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> dict[str, Any]:
        """Ask one request after the other; return what their answers give, the token as a secret."""
        given: dict[str, Any] = {}
        for call in calls:
            if session is None and "token" in given:
                session = LoggedIn(values["user"], given["token"])
            request = self._request(call, {**values, **given}, session, files)
            body = self._success(request)
            # The token first: whatever is wrong with the answer, it is a secret by then.
            for name, place in sorted(call.keep.items(), key=lambda kept: kept[0] != "token"):
                found = _READ_BY.get(name, values_at)(body, place, str(request))
                given[name] = _one(found, place, request)
                if name == "token":
                    remember(found[0])
                    given[name] = SecretStr(found[0])
            for name, choice in call.choose.items() if isinstance(call, Sending) else ():
                where = filled(choice.where, {**values, **given})
                given[name] = _one(chosen_at(body, choice, where, str(request)), choice.at, request)
        return given

    def _request(
        self,
        call: Call,
        values: Mapping[str, Any],
        session: LoggedIn | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> Request:
        return Request(
            call.method,
            self._base + filled_path(call.path, values),
            session.token if session else None,
            filled(call.form, values) or None,
            filled(call.body, values) or None,
            self._application.way_in,
            (self._functions.header, self._functions.authorization),
            files,
        )

    def _get(self, url: str) -> Request:
        return Request("GET", url, way_in=self._application.way_in)

    def _ask(self, request: Request) -> Answer:
        return fetch(request, self._application.deadline_seconds, self._transport)

    def _success(self, request: Request, hint: str = "") -> object:
        answer = self._ask(request)
        if not httpx2.codes.is_success(answer.status):
            raise Refused(request, answer.status, answer.body, hint)
        return answer.body


def _listen(chat: Chat, response: httpx2.Response, cutoff: Cutoff) -> tuple[list[str], str, str]:
    """Return files, text, and the reason for a premature end, or "" after a regular one."""
    files: list[str] = []
    pieces: list[str] = []
    try:
        if chat.answer == "events":
            ending = _hear(chat, limited_chunks(response), files, pieces)
        else:
            body = b"".join(limited_chunks(response)).decode(errors="replace")
            answer = json.loads(body) if chat.answer == "json" else None
            files += parts_of(answer, chat.files)
            pieces += [body] if chat.answer == "text" else parts_of(answer, chat.text)
            ending = ""
    except httpx2.HTTPError as error:
        ending = f"broken: {type(error).__name__}: {error}"
    except (ValueError, RecursionError):
        ending = "an event that is not JSON" if chat.answer == "events" else "an answer that is not JSON"
    if cutoff.passed:
        ending = f"no end within {cutoff.seconds:g} s"
    return files, "".join(pieces), ending


def _hear(chat: Chat, chunks: Iterable[bytes], files: list[str], pieces: list[str]) -> str:
    """Add what the events have to `files` and `pieces`; return the reason for a premature end, or ""."""
    for data in event_data(chunks):
        if chat.end and data == chat.end:
            return ""
        event = json.loads(data)
        if not isinstance(event, dict):
            return "an event that is no object"
        if missing := [place for place in chat.always if not any(parts_of(event, AnswerPart(at=place)))]:
            return f"an event without {' and '.join(missing)}"
        files += parts_of(event, chat.files)
        pieces += parts_of(event, chat.text)
    return f"no {chat.end}" if chat.end else ""


def _one(found: Sequence[Any], place: str, request: Request) -> Any:  # noqa: ANN401 - JSON
    """Return the one value that was `found` at a place; it must be one that a request can have."""
    if len(found) != 1 or found[0] is None:
        observed = "none" if found in ([], [None]) else f"{len(found)}"
        raise other_shape(f"one value under {place}", observed, str(request))
    return found[0]


GLANCE_SECONDS = 3.0
"""For a look while something else runs: a person waits for it."""
_UNAVAILABLE = 503


def in_maintenance(
    application: Application,
    seconds: float,
    *,
    by_way_in: bool = False,
    transport: BaseTransport | None = None,
) -> bool:
    """Ask once, as a user would; tell whether the answer is an application's in maintenance.

    `by_way_in` asks with the header that lets the canary in.

    Raises:
        Unverifiable: there is no answer within `seconds`.
    """
    way_in = application.way_in if by_way_in else None
    with opened(Request("GET", str(application.url), way_in=way_in), seconds, transport) as (response, _):
        return response.status_code == _UNAVAILABLE and "Retry-After" in response.headers


def kept_out(application: Application, transport: BaseTransport | None = None) -> bool:
    """Return whether users are seen to be kept out although the canary has a way in; False if unknown."""
    if application.way_in is None:
        return False
    try:
        return in_maintenance(application, GLANCE_SECONDS, transport=transport)
    except Unverifiable:
        return False
