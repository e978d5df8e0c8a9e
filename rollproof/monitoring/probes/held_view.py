"""A store's view and content reader over a connection that stays open while the store answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from rollproof.errors import Mismatch, Problem
from rollproof.stores.contract import ContentView, StoreView
from rollproof.stores.reach import for_readers
from rollproof.stores.registry import open_content, open_view

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.sections import StoreProfile

Reader = TypeVar("Reader", StoreView, ContentView)


class _Held(Generic[Reader]):
    """A store's reader; after a failure the store's address is resolved again, as it may have moved."""

    def __init__(
        self, name: str, profile: StoreProfile, engine: ContainerEngine, deadline: float | None = None
    ) -> None:
        """Connect to nothing yet; a call has `deadline` seconds, or fewer if the profile says so."""
        self.name = name
        self.services = profile.services
        seconds = profile.deadline_seconds if deadline is None else min(deadline, profile.deadline_seconds)
        self._profile = for_readers(profile).model_copy(update={"deadline_seconds": seconds})
        self._engine = engine
        self._reader: Reader | None = None

    def _open(self) -> Reader:
        raise NotImplementedError

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        """Give the reader; after any exception the next call opens a new one."""
        try:
            if self._reader is None:
                self._reader = self._open()
            yield self._reader
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(Mismatch, Problem, OSError):  # a connection that failed may not be closed in order
                reader.close()


class HeldView(_Held[StoreView]):
    """A store's view."""

    def _open(self) -> StoreView:
        return open_view(self.name, self._profile, self._engine)


class HeldContent(_Held[ContentView]):
    """The reader of a store's content."""

    def _open(self) -> ContentView:
        return open_content(self.name, self._profile, self._engine)
