"""The canary: the one user that verification may act as, and the one exception to reading only.

It logs in, asks its question in a conversation of its own, and removes both again.
"""

from __future__ import annotations

import fcntl
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from rollproof.application.client import ApplicationClient, ChatAnswer, LoggedIn, Refused
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Mismatch, Unverifiable
from rollproof.profile.application_profile import UPLOADED, Application
from rollproof.profile.kinds import descriptor_of, kinds_that
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.stores.reach import Readable
from rollproof.stores.registry import at_place, endpoint_of
from rollproof.system.holder import file_lock, locked_within
from rollproof.system.side_by_side import NoAnswer

_SECOND = 1.0
_LISTED_SECONDS = 0.5
# The most log-ins by other processes that one log-in may have to wait for.
_QUEUED = 10
# The most requests of one use of the canary; the wait for another process's log-in counts as one.
_REQUESTS = 7


@dataclass(frozen=True, slots=True)
class Conversation:
    """One question and its answer; `turns` is how many the application kept, None if it does not say."""

    id: str
    answer: ChatAnswer
    turns: int | None

    @property
    def well(self) -> bool:
        """Whether the answer came to a regular end, has words, and was kept once."""
        return self.answer.complete and bool(self.answer.text.strip()) and self.turns in {1, None}

    def is_made_from(self, files: Iterable[str]) -> bool:
        """Return whether the answer was made from each of `files`, and from no other."""
        return set(files) == set(self.answer.files)

    def says(self, words: str) -> bool:
        """Return whether the answer has those words, in whatever case."""
        return words.casefold() in self.answer.text.casefold()

    def __str__(self) -> str:
        """Return how it ended, in words."""
        turns = "" if self.turns is None else f", {self.turns} turns"
        return f"{self.answer.ending} end, {len(self.answer.text)} characters{turns}"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An uploaded document: `seconds` until it was listed, None if it never was.

    `found_in` are the files that an answer about it was made from; None if none was asked for.
    """

    name: str
    seconds: float | None
    found_in: tuple[str, ...] | None

    @property
    def is_found(self) -> bool:
        """Whether the answer about the document was made from it; True if no question was asked."""
        return self.found_in is None or self.name in self.found_in


def longest_use(application: Application, *, chat: bool = True) -> float:
    """Return the most seconds that a use of the canary takes: each request has a deadline of its own."""
    return _REQUESTS * application.deadline_seconds + (application.chat_seconds if chat else 0.0)


def canary_in_use(
    target: Target, *, alone: bool, seconds: float | None = None
) -> AbstractContextManager[bool]:
    """Hold the canary, alone or with others who do not want it alone; yield whether it was free in time.

    Checks share it. A monitor wants it alone: its traces must not be counted by checks, nor theirs be swept
    by it. By default a use by the monitor is waited for.
    """
    if seconds is None:
        seconds = longest_use(target.application) if target.application.function else 0.0
    return _in_use(target, "canary", seconds, alone=alone)


def documents_in_use(target: Target, *, alone: bool) -> AbstractContextManager[bool]:
    """Hold the canary's documents: an upload wants them alone, who lists them does not."""
    application = target.application
    upload, listing = application.deadline_seconds + application.chat_seconds, 2 * application.upload_seconds
    return _in_use(target, "canary-documents", upload if alone else listing, alone=alone)


@contextmanager
def _in_use(target: Target, what: str, seconds: float, *, alone: bool) -> Iterator[bool]:
    folder = target.folders.incidents
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{target.name}-{what}-in-use").open("a", encoding="ascii") as file:
        yield locked_within(file.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, seconds)


@dataclass(slots=True)
class Canary:
    """Acts as the canary user of `target`; `sweep` removes its every trace.

    `references` follows the profile's references and returns the results by name: see
    `rollproof.stores.references.follow_all`.
    """

    target: Target
    engine: ContainerEngine
    client: ApplicationClient
    references: Callable[[], Mapping[str, int | NoAnswer]]
    sleep: Callable[[float], None] = time.sleep
    _sessions: list[LoggedIn] = field(default_factory=list)
    _conversations: list[str] = field(default_factory=list)
    _uploads: dict[str, LoggedIn] = field(default_factory=dict)

    @property
    def wrong_password(self) -> SecretStr:
        """A password that is not the canary's."""
        return SecretStr("not-" + self.target.application.canary.password.get_secret_value())

    @property
    def stranger(self) -> str:
        """A user that is not the canary: the profile's, or one that there is not."""
        canary = self.target.application.canary
        return canary.other or f"not-{canary.user}"

    def log_in(self, password: SecretStr | None = None) -> LoggedIn:
        """Log in with `password`, the canary's own by default."""
        canary = self.target.application.canary
        with self._one_a_second():
            session = self.client.login(canary.user, password or canary.password)
        self._sessions.append(session)
        return session

    def _session(self) -> LoggedIn:
        """Return the newest session; log in if there is none."""
        return self._sessions[-1] if self._sessions else self.log_in()

    def stale(self) -> LoggedIn:
        """Return a session with a token that the application never issued."""
        keeps_more = any({*call.keep} - {"token"} for call in self.target.application.functions.log_in)
        given = self._session().values if keeps_more else {}
        return LoggedIn(self.target.application.canary.user, SecretStr(secrets.token_urlsafe(32)), given)

    def ask(self, session: LoggedIn) -> Conversation:
        """Ask the canary's question in a new conversation about the canary's knowledge base."""
        self._require_references()
        place = self.target.application.canary.knowledge_base
        conversation_id, answer = self._asked(session, place)
        counted = conversation_id and "turns" in self.target.application.functions.described()
        turns = self.client.turns(session, conversation_id) if counted else None
        return Conversation(conversation_id, answer, turns)

    def _asked(self, session: LoggedIn, knowledge_base: str) -> tuple[str, ChatAnswer]:
        """Ask the canary's question about a knowledge base; return its conversation's id and the answer."""
        conversation_id = self.client.create_conversation(session, knowledge_base, self._conversations.append)
        question = self.target.application.canary.question
        return conversation_id, self.client.chat(session, conversation_id, question)

    def upload(self, session: LoggedIn) -> Uploaded:
        """Upload the canary's document, wait until it is listed, and ask about it where it is alone."""
        application = self.target.application
        path = application.canary.upload or Path()
        name = f"{UPLOADED}{uuid.uuid4()}{path.suffix}"
        at_upload = self.client.upload(
            session, name, read_regular(path), lambda begun_at: self._uploads.update({name: begun_at})
        )
        began = time.monotonic()
        while not self._is_listed(at_upload, name):
            if time.monotonic() - began > application.upload_seconds:
                return Uploaded(name, None, None)
            self.sleep(_LISTED_SECONDS)
        seconds = time.monotonic() - began
        upload, can = application.functions.upload, application.verifiable
        if upload is None or not upload.apart or not {"chat", "sources"} <= can:
            return Uploaded(name, seconds, None)
        _, answer = self._asked(at_upload, str(at_upload.values["knowledge_base"]))
        return Uploaded(name, seconds, answer.files)

    def _is_listed(self, session: LoggedIn, name: str) -> bool:
        """Return whether a document is listed where `session` has uploaded it."""
        own = self.target.application.canary.knowledge_base
        return name in self.client.files(session, str(session.values.get("knowledge_base", own)))

    def sweep(self) -> None:
        """Remove every upload, conversation and token of this canary, and check that they are gone."""
        self.forget()
        if self.target.application.functions.tokens != "none":
            while self._sessions and self.client.log_out(self._sessions[-1]):
                self._sessions.pop()
            if self._sessions:
                self._sweep_tokens()
        self._sessions.clear()

    def forget(self) -> None:
        """Remove every conversation and upload of this canary; see `sweep`."""
        while self._uploads:
            name, session = next(reversed(self._uploads.items()))
            self._remove_upload(session, name)
            del self._uploads[name]
        while self._conversations:
            session = self._session()
            if not self.client.delete_conversation(session, self._conversations[-1]):
                raise Unverifiable(
                    what="removal of the canary's conversation",
                    expected="an application that can delete a conversation",
                    observed="one that cannot",
                    source=f"conversation {self._conversations[-1]}",
                    hint="remove it by hand; this release of the application keeps what the canary asks",
                )
            self._conversations.pop()

    @contextmanager
    def _one_a_second(self) -> Iterator[None]:
        """Limit the canary to one log-in a second, over all processes of this host.

        Two log-ins of one second get the same token: tokens differ only in their expiry, to the second. The
        first process to sweep that token would log the other out.
        """
        application = self.target.application
        longest = max(1, len(application.functions.log_in)) * application.deadline_seconds + _QUEUED * _SECOND
        path = self.target.folders.incidents / f".{self.target.name}-canary"
        with file_lock(path, "log in as the canary", wait_seconds=longest):
            yield
            self.sleep(_SECOND)

    def _require_references(self) -> None:
        wrong = {name: said for name, said in self.references().items() if not isinstance(said, int)}
        if wrong:
            reasons = "; ".join(f"{name}: {result.summary}" for name, result in wrong.items())
            raise Unverifiable(
                what="the canary's question",
                expected="references that all hold, so that asking cannot do harm",
                observed=reasons,
                source="the stores",
                hint="restore these stores first: a chat over documents that are half there deletes vectors",
            )

    def _remove_upload(self, session: LoggedIn, name: str) -> None:
        application = self.target.application
        try:
            self.client.remove_upload(session, name)
            left = self._is_listed(session, name)
        except Refused as refused:
            # A removed place has no list any more; and its beginning may have failed.
            if refused.status not in application.functions.gone:
                raise
            left = False
        if left:
            raise Mismatch(
                what="upload of the canary",
                expected="gone after its removal",
                observed=f"{name} is listed",
                source=str(application.url),
                hint="remove it by hand, and correct application.functions.upload.removal",
            )

    def _sweep_tokens(self) -> None:
        sweeper = self.target.application.canary.sweeper
        profile = self.target.stores.get(sweeper.store) if sweeper else None
        sweep = descriptor_of(profile).sweep if profile else ""
        if sweeper is None or profile is None or not sweep:
            raise Unverifiable(
                what="removal of the canary's tokens",
                expected=f"application.canary.sweeper with a store of kind {kinds_that('sweep')},"
                " or application.functions.log_out in the profile",
                observed=f"store {sweeper.store}" if sweeper else "none",
                source=self.target.name,
                hint="name an account of such a store that may remove the log-in's keys;"
                ' or say tokens = "none" in application.functions, if a log-in leaves nothing',
            )
        keys = [
            key.format(token=session.token.get_secret_value(), user=session.user)
            for session in self._sessions
            for key in sweeper.keys
        ]
        as_sweeper = profile.model_copy(update={"reader": sweeper.account})
        readable = Readable(sweeper.store, as_sweeper, endpoint_of(profile, self.engine))
        if left := at_place(sweep)(readable, sweeper.database, keys):
            raise Mismatch(
                what="tokens of the canary",
                expected="0 after their removal",
                observed=left,
                source=f"store {sweeper.store}",
                hint="another process logs in as the canary; the account is for verification alone",
            )
