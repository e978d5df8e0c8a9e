"""Users who are there all the time: some sign up and chat; one goes on, uploads, and searches.

An account of their own says what they wrote, and how each write was answered. It is held against the data at
the end: see `staging.rehearsal.users_data`.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx2

from rollproof.application.client import event_data
from rollproof.errors import ActionFailed

API = "/api/v1"
DEADLINE_SECONDS = 15.0
PAUSE_SECONDS = 2.0
# The user who goes on uploads with every so many visits: each file makes records in five stores.
UPLOADS = 3
NAMES = "live"
"""The beginning of every live user's name."""


class Visit(StrEnum):
    """How a user's visit ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """By a status, or by nobody who listens: so it is while the application is stopped."""

    BROKEN = "broken"
    """An answer of 200 that breaks off: the user was let in, and let down."""


class Place(StrEnum):
    """Where a write is held: a store, and a part of its collection's name."""

    USERS = "mysql/users"
    CONVERSATIONS = "mongodb/conversations"
    FILES = "mongodb/files"
    ORIGINALS = "minio/minio-file"


@dataclass(frozen=True, slots=True)
class Write:
    """A write whose record is in `place`, and contains `mark`, which no other record there does."""

    place: Place
    mark: str


@dataclass(slots=True)
class Account:
    """The users' own account of what they wrote and read."""

    acknowledged: list[Write] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    """The writes that were refused, by the status of the answer."""

    cut_off: int = 0
    """The writes without an answer, or with half of one: nobody promised them."""

    reads: int = 0
    """The answers that were read: lists of files, and settings."""

    @contextmanager
    def write(self, place: Place, mark: str) -> Iterator[None]:
        """Write in the block, which raises unless it is acknowledged."""
        try:
            yield
        except httpx2.HTTPStatusError as error:
            self.refused[error.response.status_code] += 1
            raise
        except httpx2.HTTPError:
            self.cut_off += 1
            raise
        self.acknowledged.append(Write(place, mark))


@dataclass(slots=True)
class _User:
    name: str
    password: str
    client: httpx2.Client
    account: Account

    def sign_up(self) -> None:
        body = {"username": self.name, "email": f"{self.name}@example.org", "password": self.password}
        with self.account.write(Place.USERS, self.name):
            self.client.post("/auth/register", json=body).raise_for_status()

    def log_in(self) -> None:
        form = {"username": self.name, "password": self.password}
        answer = self.client.post("/auth/login", data=form).raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def begin(self) -> str:
        """Begin a conversation with the user's selected model; return its id."""
        settings = self.client.get(f"/config/{self.name}/selected").raise_for_status()
        self.account.reads += 1
        conversation = f"{self.name}_{uuid.uuid4()}"
        body = {
            "conversation_id": conversation,
            "username": self.name,
            "conversation_name": "of a visit",
            "chat_model_config": {**settings.json()["select_model_config"], "base_used": []},
        }
        with self.account.write(Place.CONVERSATIONS, conversation):
            self.client.post("/chat/conversations", json=body).raise_for_status()
        return conversation

    def ask(self, conversation: str) -> None:
        """Ask a question, and read the answer to its end.

        Raises:
            httpx2.HTTPError: it was refused, or its stream broke off.
        """
        mark = secrets.token_hex(8)
        body = {"conversation_id": conversation, "user_message": f"What do the otters wear in {mark}?"}
        with self.account.write(Place.CONVERSATIONS, mark):
            answer = self.client.post("/sse/chat", json=body).raise_for_status()
            kinds = [json.loads(data)["type"] for data in event_data([answer.content])]
            if kinds[:1] != ["file_used"] or kinds[-1:] != ["token"]:
                raise httpx2.RemoteProtocolError(f"events {Counter(kinds)}")

    def create_knowledge_base(self) -> str:
        """Create a knowledge base; return its id."""
        body = {"username": self.name, "knowledge_base_name": "Otters"}
        self.client.post("/base/knowledge_base", json=body).raise_for_status()
        (base,) = self.client.get(f"/base/users/{self.name}/knowledge_bases").raise_for_status().json()
        self.account.reads += 1
        return str(base["knowledge_base_id"])

    def upload(self, base: str) -> str:
        """Upload a small text to the knowledge base; return the name of the file, without its suffix."""
        mark = f"note{secrets.token_hex(8)}"
        text = f"Note {mark}. Otters wear a coat of two layers, which keeps the water out.\n"
        with self.account.write(Place.ORIGINALS, mark):
            files = {"files": (f"{mark}.txt", text.encode(), "text/plain")}
            self.client.post(f"/base/upload/{base}", files=files).raise_for_status()
        return mark

    def lists(self, base: str, mark: str) -> bool:
        """Search the knowledge base for a file; whoever sees it there relies on it."""
        body = {"keyword": mark, "page": 1, "page_size": 10}
        answer = self.client.post(f"/base/knowledge_bases/{base}/files", json=body).raise_for_status()
        self.account.reads += 1
        found = bool(answer.json()["total"])
        self.account.acknowledged += [Write(Place.FILES, mark)] * found
        return found


class LiveUsers:
    """A load of real users, one after the other; it ends with its block, and by itself after a time.

    `visits` counts how those of new users ended; `old` lists it of one user's, whose conversation goes on.
    """

    def __init__(self, url: str) -> None:
        """Prepare for the application at `url`; nobody visits yet."""
        self.visits: Counter[Visit] = Counter()
        self.old: list[Visit] = []
        self.account = Account()
        self._url = url.rstrip("/") + API
        self._ended = threading.Event()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Visit in the background during the block, for at most `seconds`.

        Raises:
            ActionFailed: the user whose conversation goes on was not let in.
        """
        owner = self._new()
        try:
            owner.sign_up()
            owner.log_in()
            base, conversation = owner.create_knowledge_base(), owner.begin()
            owner.ask(conversation)
        except httpx2.HTTPError as error:
            owner.client.close()
            raise ActionFailed(
                what="first of the live users",
                expected="signed up, and answered",
                observed=repr(error),
                source=self._url,
                hint="read what the backend logs",
            ) from None
        thread = threading.Thread(
            target=self._run, args=(owner, base, conversation, time.monotonic() + seconds), name="live users"
        )
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            owner.client.close()

    def _run(self, owner: _User, base: str, conversation: str, end: float) -> None:
        awaited = ""
        while time.monotonic() < end and not self._ended.wait(PAUSE_SECONDS):
            user = self._new()
            with _seen(lambda visit: self.visits.update([visit])), closing(user.client):
                user.sign_up()
                user.log_in()
                user.ask(user.begin())
            with _seen(self.old.append):
                owner.log_in()
                owner.ask(conversation)
                if awaited:
                    awaited = "" if owner.lists(base, awaited) else awaited
                if len(self.old) % UPLOADS == 0:
                    awaited = owner.upload(base)

    def _new(self) -> _User:
        client = httpx2.Client(
            base_url=self._url, timeout=DEADLINE_SECONDS, trust_env=False, headers={"Connection": "close"}
        )
        return _User(f"{NAMES}{secrets.token_hex(5)}", secrets.token_hex(8), client, self.account)


@contextmanager
def _seen(tell: Callable[[Visit], object]) -> Iterator[None]:
    """Tell how the visit of the block ended."""
    try:
        yield
    except httpx2.RemoteProtocolError:
        tell(Visit.BROKEN)
    except httpx2.HTTPError:
        tell(Visit.REFUSED)
    else:
        tell(Visit.ANSWERED)
