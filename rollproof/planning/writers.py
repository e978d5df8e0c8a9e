"""A watch for writers while data is restored: a writer that is seen fails the rollback, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Self

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, listed
from rollproof.profile.profile import Target
from rollproof.stores.contract import Blind
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import Workers

# A client that was stopped a moment ago may still have open connections.
SETTLE_SECONDS = 10.0


@dataclass
class WriterPlace:
    """A place where writers can be seen: the containers, or the clients of one store.

    `look` returns the writers that are there now, in words. It raises `Problem`, and `Blind` if it never can.
    `looks` is the number of looks so far, `failure` that of the last one.
    """

    name: str
    look: Callable[[], Sequence[str]]
    close: Callable[[], None] = lambda: None
    looks: int = 0
    failure: Problem | None = None

    @property
    def blind(self) -> bool:
        """Whether no later look can see anything either."""
        return isinstance(self.failure, Blind)

    @property
    def why_blind(self) -> str:
        """The reason why a writer may have been there all the same, or ""."""
        if self.failure is not None:
            return self.failure.summary
        return "" if self.looks else "nobody has looked"


def running_writers(target: Target, engine: ContainerEngine) -> list[str]:
    """Return the containers of writers that run, or are about to run again, in words.

    A one-off container counts too when the profile does not know its service: a migration, for example.
    """
    writers, known = target.application.writers, target.services
    return [
        f"container {one.name} of {one.service}"
        for one in engine.running()
        if one.service in writers or (one.one_off and one.service not in known)
    ]


@dataclass
class WriterWatch:
    """Looks at all places side by side, with `look_seconds` between two looks. Use it as a context manager.

    `stores` are restored. The first of `places` are the containers, the others the stores that list their
    clients; other stores are `unlisted`, which the result names as blind. `note` takes what cannot be seen.
    """

    stores: Sequence[str]
    places: Sequence[WriterPlace]
    unlisted: Sequence[str]
    note: Callable[[str], None]
    look_seconds: float
    deadline: Callable[[float], Deadline]
    sleep: Callable[[float], None]
    seen: dict[str, Moment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at nothing yet."""
        self._workers = Workers(len(self.places), "writers")
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
        limit = self.deadline(SETTLE_SECONDS)
        while self._look_everywhere():
            if limit.passed:
                raise self._failure("before it is overwritten")
            self.seen.clear()
            self.sleep(self.look_seconds)
        self._running = [self._workers.begin(self._go_on, one) for one in self.places]
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
        if self.places[0].failure is not None:  # no other place shows the containers
            raise self.places[0].failure
        return self._described()

    def blind(self) -> dict[str, str]:
        """Return the stores where a writer may have been unseen, by name, each with the reason."""
        unlisted = dict.fromkeys(self.unlisted, "a store of its kind does not list its clients")
        return {**{one.name: one.why_blind for one in self.places[1:] if one.why_blind}, **unlisted}

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._workers.close()
        for one in self.places:
            one.close()

    def _look_everywhere(self) -> bool:
        list(self._workers.in_order(self._look, self.places))
        return bool(self.seen)

    def _go_on(self, place: WriterPlace) -> None:
        while not self._ended.wait(self.look_seconds):
            self._look(place)

    def _look(self, place: WriterPlace) -> None:
        if place.blind:
            return
        try:
            seen = place.look()
        except Problem as problem:
            if place.failure is None:
                self.note(f"writers cannot be seen at {place.name}: {problem.summary}")
            place.failure = problem
            return
        place.looks, place.failure = place.looks + 1, None
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
        looked = [one.name for one in self.places if one.looks]
        unseen = [one.name for one in self.places if one.failure and not one.blind]
        blind = [*(one.name for one in self.places if one.blind), *self.unlisted]
        text = f"nobody at {', '.join(looked) or 'no place'}"
        text += f"; could not look at {', '.join(unseen)}" if unseen else ""
        return text + (f"; blind at {', '.join(blind)}" if blind else "")


class WriterSeen(ActionFailed):
    """Somebody may have written to data while it was restored: it is neither old nor new."""
