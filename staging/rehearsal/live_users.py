"""Users who are there all the time: some sign up for one visit; one comes back, uploads, and searches.

An account of their own says what they wrote, and how each write was answered. It is held against the data at
the end: see `staging.rehearsal.users_data`.
"""

from __future__ import annotations

import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import httpx2

from rollproof.errors import ActionFailed
from staging.target.operators import Operators

DEADLINE_SECONDS = 15.0
PAUSE_SECONDS = 2.0
UPLOADS = 3
"""The user who comes back uploads with every so many visits: each file makes records in several stores."""

NAMES = "live"
"""The beginning of every live user's name."""


class Visit(StrEnum):
    """How a user's visit ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """By a status, or by nobody who listens: so it is while the application is stopped."""

    BROKEN = "broken"
    """An answer of 200 that breaks off: the user was let in, and let down."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write whose record is in `place`, and contains `mark`, which no other record there does.

    A place is a store and a part of its collection's name: ``mysql/users``.
    """

    place: str
    mark: str


@dataclass(slots=True)
class WriteLog:
    """The users' own account of what they wrote."""

    acknowledged: list[Write] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    """The writes that were refused, by the status of the answer."""

    cut_off: int = 0
    """The writes without an answer, or with half of one: nobody promised them."""

    @contextmanager
    def write(self, place: str, mark: str) -> Iterator[None]:
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
class User(ABC):
    """A user of one application, who speaks its API."""

    name: str
    password: str
    client: httpx2.Client
    account: WriteLog

    API: ClassVar[str]
    """The path before those of the API."""

    @abstractmethod
    def visit(self) -> None:
        """Sign up, log in and use the application once.

        Raises:
            httpx2.HTTPError: a request was refused, or its answer broke off; so do the others.
        """

    @abstractmethod
    def settle(self) -> None:
        """Sign up, and begin what goes on with each return."""

    @abstractmethod
    def come_back(self, times: int) -> None:
        """Log in again and go on; upload with some of the `times`."""

    @staticmethod
    @abstractmethod
    def held(place: str, operators: Operators) -> str:
        """Return all that a store holds of live users in `place`, as text."""


class LiveUsers:
    """A load of real users, one after the other; it ends with its block, and by itself after a time.

    `visits` counts how those of new users ended; `old` lists it of the one's who comes back.
    """

    def __init__(self, url: str, kind: type[User]) -> None:
        """Prepare for the application at `url`, whose users are of that `kind`; nobody visits yet."""
        self.visits: Counter[Visit] = Counter()
        self.old: list[Visit] = []
        self.account = WriteLog()
        self._kind = kind
        self._url = url.rstrip("/") + kind.API
        self._ended = threading.Event()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Visit in the background during the block, for at most `seconds`.

        Raises:
            ActionFailed: the user who comes back was not let in.
        """
        owner = self._new()
        try:
            owner.settle()
        except httpx2.HTTPError as error:
            owner.client.close()
            raise ActionFailed(
                what="first of the live users",
                expected="signed up, and answered",
                observed=repr(error),
                source=self._url,
                hint="read what the backend logs",
            ) from None
        end = time.monotonic() + seconds
        thread = threading.Thread(target=self._run, args=(owner, end), name="live users")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            owner.client.close()

    def _run(self, owner: User, end: float) -> None:
        while time.monotonic() < end and not self._ended.wait(PAUSE_SECONDS):
            user = self._new()
            with _seen(lambda visit: self.visits.update([visit])), closing(user.client):
                user.visit()
            with _seen(self.old.append):
                owner.come_back(len(self.old))

    def _new(self) -> User:
        client = httpx2.Client(
            base_url=self._url, timeout=DEADLINE_SECONDS, trust_env=False, headers={"Connection": "close"}
        )
        return self._kind(f"{NAMES}{secrets.token_hex(5)}", secrets.token_hex(8), client, self.account)


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
