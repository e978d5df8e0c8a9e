"""The connections to stores, where a rollback's watch looks for writers: the operator alone sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rollback_actions.outside import Outside
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.planning.writers import Place, Watch, running_writers
from rollproof.profile.profile import Target
from rollproof.stores.keeper import StoreClients
from rollproof.stores.keepers import tells_clients


@dataclass
class Connections:
    """The connections to one store. It is opened again after each failure: a restart can move the store."""

    name: str
    open: Callable[[], StoreClients]
    _clients: StoreClients | None = None

    def look(self) -> Sequence[str]:
        """Return the connected clients that this process did not open."""
        if self._clients is None:
            self._clients = self.open()
        try:
            others = self._clients.others()
        except Problem:
            self.close()
            raise
        return [f"client {one} of {self.name}" for one in others]

    def close(self) -> None:
        """Close the watch's own connection."""
        if self._clients is not None:
            self._clients.close()
            self._clients = None


def watch_of(
    target: Target,
    stores: Sequence[str],
    engine: ContainerEngine,
    note: Callable[[str], None],
    outside: Outside,
) -> Watch:
    """Return the watch for writers while `stores` are restored; `note` takes what it cannot see."""
    places, unlisted = [Place("the containers", partial(running_writers, target, engine))], []
    for name in stores:
        if tells_clients(target.stores[name]):
            clients = Connections(name, partial(outside.open_clients, name, target.stores[name], engine))
            places.append(Place(name, clients.look, clients.close))
        else:
            unlisted.append(name)
    return Watch(stores, places, unlisted, note, outside.look_seconds, outside.deadline, outside.sleep)
