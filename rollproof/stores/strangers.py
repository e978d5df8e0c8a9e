"""Telling which of a store's clients this process did not open. Neither account nor host proves that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from rollproof.profile.sections import WatchedProfile
from rollproof.stores.contract import Blind
from rollproof.stores.keeper import Client
from rollproof.stores.own_connections import NAMES, OWN
from rollproof.stores.reach import Reach
from rollproof.stores.writable import Operated

Watched = TypeVar("Watched", bound=WatchedProfile)

HEALTH_CHECK_SECONDS = 30.0
"""How long a health check may stay connected: the engine's own default."""


class Strangers(Generic[Watched]):
    """The clients of one store that this process did not open."""

    def __init__(self, operated: Operated[Watched]) -> None:
        """Know nobody yet."""
        self._reach, self._profile = operated.reach, operated.profile
        self._apart = operated.apart
        self._inside: dict[int, float] = {}

    def among(self, found: Sequence[Client], ours: AbstractSet[int] | None = None) -> list[Client]:
        """Return the clients in `found` that may be writers, each account and host once.

        `ours` are the numbers of this process's connections, by default those that it remembers. Bystanders
        of the profile do not count, nor whoever verifies or monitors, nor the one connection of a program of
        ours in the store's container.

        Another client in a container that the store has for itself counts once it stays longer than a health
        check may. The server cannot tell the two.

        Raises:
            Blind: no connection of ours is in `found`: the server's numbers are not the ones that we know.
        """
        if ours is None:
            ours = OWN.numbers(self._reach.address, self._reach.deadline)
        others = [client for client in found if client.number not in ours]
        if len(others) == len(found):
            raise blind(self._reach, "our own connection among its clients", f"{len(found)} others alone")
        known = set(self._profile.bystanders)
        others = [one for one in others if known.isdisjoint({one.account, str(one)})]
        passing = self._programs(others) | self._passing(others)
        told = {one for one in others if one.number not in passing and not self._reads(one)}
        return sorted(told, key=str)

    def _reads(self, client: Client) -> bool:
        """Return True if it is a monitor or verification, by its name or the reader's account.

        An account that is the operator's too tells nothing.
        """
        if NAMES.fullmatch(client.name):
            return True
        return client.account == self._profile.reader.user != self._profile.operator.user

    def _programs(self, others: Sequence[Client]) -> set[int]:
        """Return the numbers of the programs of ours that run in the store's container: the newest there."""
        user = self._profile.operator.user
        inside = sorted(one.number for one in others if one.inside and one.account == user)
        return set(inside[max(len(inside) - OWN.programs(self._reach.address), 0) :])

    def _passing(self, others: Sequence[Client]) -> set[int]:
        """Return the numbers of clients in the store's container that may be health checks."""
        now = time.monotonic()
        inside = {one.number for one in others if one.inside and self._apart}
        self._inside = {number: self._inside.get(number, now) for number in inside}
        return {number for number, since in self._inside.items() if now - since < HEALTH_CHECK_SECONDS}


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
