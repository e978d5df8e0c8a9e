"""The read side of a store over a connection that stays open while it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fixtures.errors import Mismatch, Problem
from fixtures.stores.factory import open_view

if TYPE_CHECKING:
    from fixtures.engines.engine import ContainerEngine
    from fixtures.stores.profiles import AnyStore
    from fixtures.stores.view import StoreView


class HeldView:
    """A store's view; after a failure it is looked for anew, where it may be by then."""

    def __init__(
        self, name: str, profile: AnyStore, engine: ContainerEngine, deadline: float | None = None
    ) -> None:
        """Connect to nothing yet; a call has `deadline` seconds, or fewer where the profile says so."""
        self.name = name
        self.services = profile.services
        seconds = profile.deadline_seconds if deadline is None else min(deadline, profile.deadline_seconds)
        self._profile = profile.model_copy(update={"deadline_seconds": seconds})
        self._engine = engine
        self._view: StoreView | None = None

    @contextmanager
    def opened(self) -> Iterator[StoreView]:
        """Give the view; whatever is raised, the next one is another."""
        try:
            if self._view is None:
                self._view = open_view(self.name, self._profile, self._engine)
            yield self._view
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        view, self._view = self._view, None
        if view is not None:
            with suppress(Mismatch, Problem, OSError):  # a connection that failed may not be closed in order
                view.close()
