"""A watch for writers while data is restored: a writer that is seen fails the rollback, by its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Protocol, Self

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, listed
from rollproof.profile.profile import Target
from rollproof.stores.contract import Blind
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import Workers

POLL_SECONDS = 1.0
# A client that was stopped a moment ago may still have open connections.
SETTLE_SECONDS = 10.0


class Place(Protocol):
    """A place where writers can be seen: the containers, or the clients of one store."""

    name: str

    def look(self) -> Sequence[str]:
        """Return the writers that are there now, in words. Raises `Problem`; `Blind` when it is permanent."""

    def close(self) -> None:
        """Release the connection, if there is one."""


@dataclass
class Containers:
    """The writers' containers: started, run next to their service, or brought back by a restart policy.

    A one-off container counts too when the profile does not know its service: a migration, for example.
    """

    target: Target
    engine: ContainerEngine
    name: str = "the containers"

    def look(self) -> Sequence[str]:
        """Return the containers that run, or are about to run again."""
        writers, known = self.target.application.writers, self.target.services
        return [
            f"container {one.name} of {one.service}"
            for one in self.engine.running()
            if one.service in writers or (one.one_off and one.service not in known)
        ]

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class Watched:
    """A place, the number of looks at it, and the last look's failure; `blind` if that is permanent."""

    place: Place
    looks: int = 0
    blind: bool = False
    failure: Problem | None = None

    @property
    def why_blind(self) -> str:
        """The reason why a writer may have been there all the same, or ""."""
        if self.failure is not None:
            return self.failure.summary
        return "" if self.looks else "nobody has looked"


@dataclass
class Watch:
    """Looks about once a second, at all places side by side. Close it, or use it as a context manager.

    `stores` are restored. `clients` are the places of those that list their clients; the others are
    `unlisted`, which the result names as blind. `note` takes what cannot be seen.
    """

    stores: Sequence[str]
    containers: Place
    clients: Sequence[Place]
    unlisted: Sequence[str]
    note: Callable[[str], None]
    seen: dict[str, Moment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at nothing yet."""
        self._watched = [Watched(place) for place in (self.containers, *self.clients)]
        self._workers = Workers(len(self._watched), "writers")
        self._running: list[Future[None]] = []
        self._ended = Event()
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Return the watch."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the watch; add the writers that were seen to another error."""
        self.close()
        if error is not None and self.seen and not isinstance(error, WriterSeen):
            error.add_note(f"also, while data was restored: {self._described()}")

    def begin(self) -> str:
        """Check that there is no writer now, and keep watching.

        Raises:
            WriterSeen: a writer is there, and did not leave within `SETTLE_SECONDS`.
        """
        limit = Deadline(SETTLE_SECONDS)
        while self._look_everywhere():
            if limit.passed:
                raise self._failure("before it is overwritten")
            self.seen.clear()
            time.sleep(POLL_SECONDS)
        self._running = [self._workers.begin(self._go_on, one) for one in self._watched]
        return self._described()

    def end(self) -> str:
        """Look a last time and end the watch; return the places that were looked at, and the unseen ones.

        Raises:
            WriterSeen: a writer was seen since the watch began. `Problem`: the containers could not be seen.
        """
        self._ended.set()
        for one in self._running:
            one.result()
        self._look_everywhere()
        self.close()
        if self.seen:
            raise self._failure("while it was restored")
        containers = self._watched[0]
        if containers.failure is not None:  # no other place shows the containers
            raise containers.failure
        return self._described()

    def blind(self) -> dict[str, str]:
        """Return the stores where a writer may have been unseen, by name, each with the reason."""
        unlisted = dict.fromkeys(self.unlisted, "a store of its kind does not list its clients")
        stores = self._watched[1:]  # the first are the containers
        return {**{one.place.name: one.why_blind for one in stores if one.why_blind}, **unlisted}

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._workers.close()
        for one in self._watched:
            one.place.close()

    def _look_everywhere(self) -> bool:
        list(self._workers.in_order(self._look, self._watched))
        return bool(self.seen)

    def _go_on(self, watched: Watched) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._look(watched)

    def _look(self, watched: Watched) -> None:
        if watched.blind:
            return
        try:
            seen = watched.place.look()
        except Problem as problem:
            first = watched.failure is None
            watched.failure, watched.blind = problem, isinstance(problem, Blind)
            if first:
                self.note(f"writers cannot be seen at {watched.place.name}: {problem.summary}")
            return
        watched.looks, watched.failure = watched.looks + 1, None
        with self._lock:
            for writer in seen:
                self.seen.setdefault(writer, Moment.now())

    def _failure(self, when: str) -> WriterSeen:
        return WriterSeen(
            what=f"data of {', '.join(self.stores)}",
            expected=f"no writer {when}",
            observed=self._described(),
            source="the containers, and the stores' own lists of clients",
            hint="stop it, or name its account in bystanders of its store if it writes nothing; then resume",
        )

    def _described(self) -> str:
        if self.seen:
            return listed([f"{writer}, seen at {moment.wall}" for writer, moment in self.seen.items()])
        looked = [one.place.name for one in self._watched if one.looks]
        unseen = [one.place.name for one in self._watched if one.failure and not one.blind]
        blind = [*(one.place.name for one in self._watched if one.blind), *self.unlisted]
        text = f"nobody at {', '.join(looked) or 'no place'}"
        text += f"; could not look at {', '.join(unseen)}" if unseen else ""
        return text + (f"; blind at {', '.join(blind)}" if blind else "")


class WriterSeen(ActionFailed):
    """Somebody may have written to data while it was restored: it is neither old nor new."""
