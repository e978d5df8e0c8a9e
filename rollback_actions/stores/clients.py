"""Who is connected to a store: what a store that can tell offers, and which of them may be there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from fixtures.errors import Unverifiable
from fixtures.stores.profiles import MongodbProfile, MysqlProfile, RedisProfile
from fixtures.stores.reach import Reach


class StoreClients(Protocol):
    """The clients of one store, as its operator account sees them. It stays connected between questions."""

    def others(self) -> Sequence[str]:
        """Return those that are neither ours nor the server's own, each as ``account@host``.

        Raises:
            Blind: the account may not see them. `Unverifiable`: the store did not answer; open a new one.
        """
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class Blind(Unverifiable):
    """The account may not see who is connected, and will not a second later either."""


@dataclass(frozen=True, slots=True)
class Client:
    """One connection: as which account, and from which host in the eyes of the server."""

    account: str
    host: str

    @property
    def inside(self) -> bool:
        """Whether it comes from the store's own container: its health check, or our own programs there."""
        try:
            return self.host in {"", "localhost"} or ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False


def strangers(found: Iterable[Client], profile: MysqlProfile | MongodbProfile | RedisProfile) -> list[str]:
    """Return those of `found` that may be writers, each account and host once."""
    known = {profile.reader.user, profile.operator.user, *profile.bystanders}
    others = {c for c in found if c.account not in known and not c.inside}
    return sorted(f"{client.account}@{client.host}" for client in others)


def host_of(address: str) -> str:
    """Return the host of an address that ends with a port: ``10.0.0.1:9``, ``[::1]:9``, ``::1:9``."""
    return address.rpartition(":")[0].strip("[]") or address


def blind(reach: Reach, expected: str, observed: str) -> Blind:
    """Return the error of an account that lacks what is `expected`."""
    return Blind(
        what=f"clients of store {reach.store} as {reach.account.user}",
        expected=expected,
        observed=observed,
        source=reach.address,
        hint="grant it, so that a writer can be seen while data is restored",
    )
