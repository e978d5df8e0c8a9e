"""From a store's profile to its keeper. A driver is imported when its store is first used, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.drivers import at_place
from rollproof.stores.registry import endpoint_of
from rollproof.stores.writable import Operated, Writable
from rollproof.system.apart import apart

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rollback_actions.containers.compose import ComposeControl
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.profile import Target
    from rollproof.profile.sections import StoreProfile
    from rollproof.stores.keeper import Put, Restored, StoreClients, StoreKeeper
    from rollproof.stores.package import Kept

# For a backup, which nobody waits for while production is down.
BACKUP_SECONDS = 600.0
# A keeper's deadline is for a whole backup or restore; a process that works apart has this much longer.
APART_SECONDS = 120.0


class KeeperApart:
    """A store's write side that does everything in a process of its own. See `StoreKeeper`."""

    def __init__(self, keeper: StoreKeeper, seconds: float) -> None:
        """Pass everything on to `keeper`, `seconds` at most for each call."""
        self.name, self.kind = keeper.name, keeper.kind
        self._keeper, self._seconds = keeper, seconds

    def back_up(self, folder: Path) -> Kept:
        """Back up the store."""
        return apart(f"backup of store {self.name}", self._seconds, self._keeper.back_up, folder)

    def restore(self, folder: Path) -> Restored:
        """Restore the store."""
        return apart(f"restore of store {self.name}", self._seconds, self._keeper.restore, folder)

    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> AbstractContextManager[Put]:
        """Open the way back for records, in this process: `apart_by_kind` is for the caller."""
        return self._keeper.putting(collection, folder, overwrite=overwrite)


def open_keepers(target: Target, engine: ContainerEngine, control: ComposeControl) -> dict[str, StoreKeeper]:
    """Return the write side of every store of `target`, by name."""
    return {
        name: open_keeper(name, profile, engine, control, BACKUP_SECONDS)
        for name, profile in target.stores.items()
    }


def open_keeper(
    name: str, profile: StoreProfile, engine: ContainerEngine, control: ComposeControl, deadline: float
) -> StoreKeeper:
    """Return the write side of the store `name`.

    `deadline` is in seconds, for a whole backup or restore; a keeper that needs more beside it says so.
    """
    return keeper_at(name, profile, _endpoint(profile, engine), control, deadline, engine)


def keeper_at(
    name: str,
    profile: StoreProfile,
    endpoint: Endpoint,
    control: ComposeControl,
    deadline: float,
    engine: ContainerEngine | None = None,
) -> StoreKeeper:
    """Return the write side of the store `name` at `endpoint`; it works apart where its kind says so."""
    keeper = keeper_here(name, profile, endpoint, control, deadline, engine)
    apart_from_here = Trait.APART in descriptor_of(profile).traits
    return KeeperApart(keeper, deadline + APART_SECONDS) if apart_from_here else keeper


def keeper_here(
    name: str,
    profile: StoreProfile,
    endpoint: Endpoint,
    control: ComposeControl,
    deadline: float,
    engine: ContainerEngine | None = None,
) -> StoreKeeper:
    """Return the write side of the store `name` at `endpoint`, which works in this process."""
    keeper: StoreKeeper = at_place(descriptor_of(profile).keeper)(
        Writable(name, profile, endpoint, control, deadline, engine=engine)
    )
    return keeper


def tells_clients(profile: StoreProfile) -> bool:
    """Return True if a store of this kind can list its clients; imports nothing."""
    return bool(descriptor_of(profile).clients)


def open_clients(name: str, profile: StoreProfile, engine: ContainerEngine) -> StoreClients:
    """Return the clients of the store `name`, whose kind can list them."""
    clients: StoreClients = at_place(descriptor_of(profile).clients)(
        Operated(name, profile, endpoint_of(profile, engine), apart=_apart(profile, engine))
    )
    return clients


def _apart(profile: StoreProfile, engine: ContainerEngine) -> bool:
    """Return True if the store runs in containers that share their network with nobody."""
    there = engine.containers()
    modes = {container.network for group in there.values() for container in group}
    own = there.get(profile.address.service or "", ()) if profile.address else ()
    shared = any(
        one.network in {"", "host"}
        or one.network.startswith("container:")
        or not modes.isdisjoint({f"container:{one.id}", f"container:{one.name}"})
        for one in own
    )
    return bool(own) and not shared


def _endpoint(profile: StoreProfile, engine: ContainerEngine) -> Endpoint:
    try:
        return endpoint_of(profile, engine)
    except Unverifiable:
        # A store that is down has no address yet. A store that is restored by its volumes gets one when its
        # keeper has started it. Any other is not found: no host has a name of this domain. This machine may
        # know another server by the service's own name, which would be overwritten.
        if profile.address is None or profile.address.service is None:
            raise
        return Endpoint(f"{profile.address.service}.invalid", profile.address.port)
