"""From a store's profile to its keeper. A driver is imported when its store is first used, not before."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fixtures.engines.engine import Endpoint
from fixtures.errors import Unverifiable

if TYPE_CHECKING:
    from fixtures.engines.engine import ContainerEngine
    from fixtures.stores.profiles import AnyStore
    from fixtures.target import Target
    from rollback_actions.containers import ContainerControl
    from rollback_actions.stores.clients import StoreClients
    from rollback_actions.stores.export import RecordExport
    from rollback_actions.stores.keeper import StoreKeeper

# Of a backup, which nobody waits for while production is down.
BACKUP_SECONDS = 600.0


def open_keepers(
    target: Target, engine: ContainerEngine, control: ContainerControl
) -> dict[str, StoreKeeper]:
    """Return the write side of every store of `target`, by name."""
    return {
        name: open_keeper(name, profile, engine, control, BACKUP_SECONDS)
        for name, profile in target.stores.items()
    }


def open_keeper(
    name: str, profile: AnyStore, engine: ContainerEngine, control: ContainerControl, deadline: float
) -> StoreKeeper:
    """Return the write side of the store `name`; each module of this package names its class `Keeper`.

    `deadline` is in seconds, for what the store does in one go; each keeper says what that is.
    """
    module = import_module(f"rollback_actions.stores.{profile.kind}")
    keeper: StoreKeeper = module.Keeper(name, profile, _endpoint(profile, engine), control, deadline=deadline)
    return keeper


def open_export(name: str, profile: AnyStore, engine: ContainerEngine) -> RecordExport:
    """Return the export of the store `name`; each module ``<kind>_export`` names its class `Export`."""
    module = import_module(f"rollback_actions.stores.{profile.kind}_export")
    export: RecordExport = module.Export(name, profile, engine.resolve(profile.address))
    return export


def tells_clients(profile: AnyStore) -> bool:
    """Tell whether a store of this kind can say who is connected to it; imports nothing."""
    return find_spec(_clients_module(profile)) is not None


def open_clients(name: str, profile: AnyStore, engine: ContainerEngine) -> StoreClients:
    """Return the clients of the store `name`; each module ``<kind>_clients`` names its class `Clients`."""
    module = import_module(_clients_module(profile))
    clients: StoreClients = module.Clients(name, profile, engine.resolve(profile.address))
    return clients


def _clients_module(profile: AnyStore) -> str:
    return f"rollback_actions.stores.{profile.kind}_clients"


def _endpoint(profile: AnyStore, engine: ContainerEngine) -> Endpoint:
    try:
        return engine.resolve(profile.address)
    except Unverifiable:
        # A store that is down has no address yet. One that is restored by its volumes gets one when its
        # keeper has started it; every other is looked for under its service's name, and not found there.
        if profile.address.service is None:
            raise
        return Endpoint(profile.address.service, profile.address.port)
