"""Clients of a store that may write: all but the suite's own, its reader's and the profile's bystanders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rollproof.profile.sections import WatchedProfile
from rollproof.stores.client_name import NAME, NAMES
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Client
from rollproof.stores.reach import Reach
from rollproof.stores.writable import Operated

Watched = TypeVar("Watched", bound=WatchedProfile)
_GRANT = "grant it, so that a writer can be seen while data is restored"


def strangers(operated: Operated[Watched], found: Sequence[Client]) -> list[Client]:
    """Return the clients in `found` that may be writers, each account and host once.

    Bystanders of the profile do not count, nor whoever verifies or monitors. Clients inside of the store's
    container are health checks, and programs of ours.

    Raises:
        Blind: no connection of ours is in `found`: the server, or a proxy, shows no names.
    """
    if NAME not in {client.name for client in found}:
        raise blind(
            operated.reach,
            "our own connection among its clients",
            f"only {len(found)} others",
            hint="let this account name its connections, or reach the server without a proxy: else no writer"
            " can be seen while data is restored",
        )
    # If the reader has the operator's account, the account does not show which of them is connected.
    reader = {operated.profile.reader.user} - {operated.profile.operator.user}
    known = reader | set(operated.profile.bystanders)
    unknown = {
        client
        for client in found
        if not NAMES.fullmatch(client.name)
        and not client.inside
        and known.isdisjoint({client.account, str(client)})
    }
    return sorted(unknown, key=str)


def host_of(address: str) -> str:
    """Return the host of an address that ends with a port: ``10.0.0.1:9``, ``[::1]:9``, ``::1:9``."""
    return address.rpartition(":")[0].strip("[]") or address


def blind(reach: Reach, expected: str, observed: str, hint: str = _GRANT) -> Blind:
    """Return the error of an account that does not see every client, by default for want of a right."""
    return Blind(
        what=f"clients of store {reach.store} as {reach.account.user}",
        expected=expected,
        observed=observed,
        source=reach.address,
        hint=hint,
    )
