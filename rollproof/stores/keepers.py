"""From a store's profile to its keeper. A driver is imported when its store is first used, not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.kinds import descriptor_of
from rollproof.stores.keeper import Operated, StoreControl, Writable
from rollproof.stores.registry import at_place, endpoint_of

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.profile import Target
    from rollproof.profile.sections import StoreProfile
    from rollproof.stores.keeper import StoreClients, StoreKeeper

KeeperOpener: TypeAlias = "Callable[[str, StoreProfile, ContainerEngine, StoreControl, float], StoreKeeper]"
"""Opens the write side of a store: `open_keeper`, or a stand-in for it."""
ClientsOpener: TypeAlias = "Callable[[str, StoreProfile, ContainerEngine], StoreClients]"

# For a backup, which nobody waits for while production is down.
BACKUP_SECONDS = 600.0


def open_keeper(
    name: str, profile: StoreProfile, engine: ContainerEngine, control: StoreControl, deadline: float
) -> StoreKeeper:
    """Return the write side of the store `name`.

    `deadline` is in seconds, for a whole backup or restore; a keeper that needs more than it says so.
    """
    return keeper_at(name, profile, _endpoint(profile, engine), control, deadline, engine)


def open_keepers(
    target: Target,
    engine: ContainerEngine,
    control: StoreControl,
    open_keeper: KeeperOpener = open_keeper,
) -> dict[str, StoreKeeper]:
    """Return the write side of every store of `target`, by name."""
    return {
        name: open_keeper(name, profile, engine, control, BACKUP_SECONDS)
        for name, profile in target.stores.items()
    }


def keeper_at(
    name: str,
    profile: StoreProfile,
    endpoint: Endpoint,
    control: StoreControl,
    deadline: float,
    engine: ContainerEngine | None = None,
) -> StoreKeeper:
    """Return the write side of the store `name` at `endpoint`."""
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
        Operated(name, profile, endpoint_of(profile, engine))
    )
    return clients


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
