"""Telling which of a store's clients may write: those with no name of the suite's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from rollproof.profile.sections import WatchedProfile
from rollproof.stores.client_name import NAME, NAMES
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Client
from rollproof.stores.reach import Reach
from rollproof.stores.writable import Operated

Watched = TypeVar("Watched", bound=WatchedProfile)


class Strangers(Generic[Watched]):
    """The clients of one store that this process did not open."""

    def __init__(self, operated: Operated[Watched]) -> None:
        """Know the accounts of the profile, and whether the store has its container's network for itself."""
        self._reach, self._profile = operated.reach, operated.profile
        self._apart = operated.apart

    def among(self, found: Sequence[Client]) -> list[Client]:
        """Return the clients in `found` that may be writers, each account and host once.

        Bystanders of the profile do not count, nor whoever verifies or monitors. Clients inside of a
        container that the store has for itself are health checks, and programs of ours.

        Raises:
            Blind: no connection of ours is in `found`: the server, or a proxy, shows no names.
        """
        if NAME not in {client.name for client in found}:
            raise blind(self._reach, "our own connection among its clients", f"{len(found)} others alone")
        return sorted(set(self._writers(found)), key=str)

    def _writers(self, found: Iterable[Client]) -> Iterable[Client]:
        # An account that is the operator's too says nothing of who has it.
        reader = {self._profile.reader.user} - {self._profile.operator.user}
        known = reader | set(self._profile.bystanders)
        for client in found:
            if NAMES.fullmatch(client.name) or (client.inside and self._apart):
                continue
            if known.isdisjoint({client.account, str(client)}):
                yield client


def host_of(address: str) -> str:
    """Return the host of an address that ends with a port: ``10.0.0.1:9``, ``[::1]:9``, ``::1:9``."""
    return address.rpartition(":")[0].strip("[]") or address


def blind(reach: Reach, expected: str, observed: str) -> Blind:
    """Return the error of an account that lacks the `expected` right."""
    return Blind(
        what=f"clients of store {reach.store} as {reach.account.user}",
        expected=expected,
        observed=observed,
        source=reach.address,
        hint="grant it, so that a writer can be seen while data is restored",
    )
