"""Users who are there all the time: they sign up and chat; one goes on with an old conversation."""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum

import httpx2

from rollproof.application.client import event_data
from rollproof.errors import ActionFailed

API = "/api/v1"
DEADLINE_SECONDS = 15.0
PAUSE_SECONDS = 2.0
QUESTION = "What do the otters wear?"


class Visit(StrEnum):
    """How a user's visit ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """By a status, or by nobody who listens: so it is while the application is stopped."""

    BROKEN = "broken"
    """An answer of 200 that breaks off: the user was let in, and let down."""


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    client: httpx2.Client

    def settings(self) -> dict[str, object]:
        """The user's selected model, as a new conversation names it."""
        answer = self.client.get(f"/config/{self.name}/selected").raise_for_status()
        settings: dict[str, object] = answer.json()["select_model_config"]
        return settings

    def begin(self) -> str:
        """Begin a conversation; return its id."""
        conversation = f"{self.name}_{uuid.uuid4()}"
        body = {
            "conversation_id": conversation,
            "username": self.name,
            "conversation_name": "of a visit",
            "chat_model_config": {**self.settings(), "base_used": []},
        }
        self.client.post("/chat/conversations", json=body).raise_for_status()
        return conversation

    def ask(self, conversation: str) -> None:
        """Ask the question, and read the answer to its end.

        Raises:
            httpx2.HTTPError: it was refused, or its stream broke off.
        """
        body = {"conversation_id": conversation, "user_message": QUESTION}
        answer = self.client.post("/sse/chat", json=body).raise_for_status()
        kinds = [json.loads(data)["type"] for data in event_data([answer.content])]
        if kinds[:1] != ["file_used"] or kinds[-1:] != ["token"]:
            raise httpx2.RemoteProtocolError(f"events {Counter(kinds)}")


class LiveUsers:
    """A load of real users, one after the other; it ends with its block, and by itself after a time.

    `visits` counts how those of new users ended; `old` lists it of one user's, whose conversation goes on.
    """

    def __init__(self, url: str) -> None:
        """Prepare for the application at `url`; nobody visits yet."""
        self.visits: Counter[Visit] = Counter()
        self.old: list[Visit] = []
        self._url = url.rstrip("/") + API
        self._ended = threading.Event()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Visit in the background during the block, for at most `seconds`.

        Raises:
            ActionFailed: the user whose conversation goes on was not let in.
        """
        try:
            owner = self._signed_up()
            conversation = owner.begin()
            owner.ask(conversation)
        except httpx2.HTTPError as error:
            raise ActionFailed(
                what="first of the live users",
                expected="signed up, and answered",
                observed=repr(error),
                source=self._url,
                hint="read what the backend logs",
            ) from None
        thread = threading.Thread(
            target=self._run, args=(owner, conversation, time.monotonic() + seconds), name="live users"
        )
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            owner.client.close()

    def _run(self, owner: _User, conversation: str, end: float) -> None:
        while time.monotonic() < end and not self._ended.wait(PAUSE_SECONDS):
            with _seen(lambda visit: self.visits.update([visit])):
                user = self._signed_up()
                with closing(user.client):
                    user.ask(user.begin())
            with _seen(self.old.append):
                owner.ask(conversation)

    def _signed_up(self) -> _User:
        """Sign a new user up, and log in."""
        name, password = f"live{secrets.token_hex(5)}", secrets.token_hex(8)
        client = httpx2.Client(
            base_url=self._url, timeout=DEADLINE_SECONDS, trust_env=False, headers={"Connection": "close"}
        )
        body = {"username": name, "email": f"{name}@example.org", "password": password}
        form = {"username": name, "password": password}
        try:
            client.post("/auth/register", json=body).raise_for_status()
            answer = client.post("/auth/login", data=form).raise_for_status()
        except BaseException:
            client.close()
            raise
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return _User(name, client)


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
