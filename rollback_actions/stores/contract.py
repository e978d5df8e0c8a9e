"""The write side of every store: back it up, restore it and, where possible, list its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, runtime_checkable

from fixtures.backups.package import Kept
from fixtures.errors import Unverifiable
from fixtures.stores.reach import Reach
from fixtures.target.sections import WatchedProfile


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: records by collection, and notes on data that was dropped or left out."""

    records: Mapping[str, int]
    notes: tuple[str, ...] = ()


class StoreKeeper(Protocol):
    """Write side of one store, on its operator account. Raises `ActionFailed` or `Unverifiable`."""

    name: str
    kind: str

    def back_up(self, folder: Path) -> Kept:
        """Write a complete backup into `folder`, which exists and is empty; changes nothing in the store.

        The files are complete only when this returns: a reader must be able to tell a truncated backup.
        """
        ...

    def restore(self, folder: Path) -> Restored:
        """Bring the store's data back to exactly the content of `folder`, removing everything newer.

        May be called twice; a second call after a kill must end in the same state. The backup is checked
        to be whole before the first byte of the store is changed.
        """
        ...


@runtime_checkable
class StoppedKeeper(StoreKeeper, Protocol):
    """A store that is stopped for its backup and for its restore: between the two it need not run."""

    def keep_aside(self, folder: Path, *, up: bool) -> Kept:
        """As `back_up`, right before a restore: the store's services are left stopped.

        A store that is not `up`, and did not start, is kept as it lies.
        """
        ...


@runtime_checkable
class SafetyKeeper(StoreKeeper, Protocol):
    """A store whose backup refuses, or leaves out, data that a copy right before a restore has to keep."""

    def keep_safe(self, folder: Path) -> Kept:
        """As `back_up`, right before a restore, whatever has been dropped or broken since the backup.

        Missing objects are kept as absent. Objects that cannot be read are left out, but never records.
        `method` says so.
        """
        ...


class BacksUp(Protocol):
    """Anything that can be backed up. See `StoreKeeper`."""

    def back_up(self, folder: Path) -> Kept:
        """Write a complete backup into `folder`, which exists and is empty."""
        ...


@dataclass(frozen=True, slots=True)
class Aside:
    """A store whose `keep` takes a copy right before its restore, in place of a backup."""

    keep: Callable[[Path], Kept]

    def back_up(self, folder: Path) -> Kept:
        """Call `keep`."""
        return self.keep(folder)


def kept_by(keeper: StoreKeeper, *, up: bool) -> BacksUp:
    """Return the writer of the copy before a restore; only a `StoppedKeeper` works when it is not `up`."""
    if isinstance(keeper, StoppedKeeper):
        return Aside(partial(keeper.keep_aside, up=up))
    return Aside(keeper.keep_safe) if isinstance(keeper, SafetyKeeper) else keeper


class StoreClients(Protocol):
    """The clients of one store, as its operator account sees them. It stays connected between questions."""

    def others(self) -> Sequence[str]:
        """Return the clients of other accounts, as ``account@host``; ours and the server's own are left out.

        Raises:
            Blind: the account may not see them. `Unverifiable`: the store did not answer; open new clients.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Blind(Unverifiable):
    """The account may not see who is connected, and will not a second later either."""


@dataclass(frozen=True, slots=True)
class Client:
    """One connection: its account, and the host that the server sees it from."""

    account: str
    host: str

    @property
    def inside(self) -> bool:
        """Whether it comes from the store's own container: its health check, or our own programs there."""
        try:
            return self.host in {"", "localhost"} or ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False


def strangers(found: Iterable[Client], profile: WatchedProfile) -> list[str]:
    """Return the clients in `found` that may be writers, each account and host once."""
    known = {profile.reader.user, profile.operator.user, *profile.bystanders}
    others = {c for c in found if c.account not in known and not c.inside}
    return sorted(f"{client.account}@{client.host}" for client in others)


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
