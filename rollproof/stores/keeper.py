"""The write side of every store: back it up, restore it and, where possible, list its clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, runtime_checkable

from rollproof.stores.contract import ExportedRecord
from rollproof.stores.package import Kept


@dataclass(frozen=True, slots=True)
class Put:
    """How exported records are written back into one collection.

    `write` writes one record, or raises `Problem`: the record is refused, or the store does not answer. A
    store that `appends` gives each record a new key: none is replaced, and none found by its old key.
    """

    write: Callable[[ExportedRecord], object]
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: records by collection, and notes on data that was dropped or left out.

    `unsettled` are collections that users may have written to while the backup was taken: it says no exact
    number of their records.
    """

    records: Mapping[str, int]
    notes: tuple[str, ...] = ()
    unsettled: frozenset[str] = frozenset()


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

    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> AbstractContextManager[Put]:
        """Open the way back for exported records of `collection`; files that they name are below `folder`.

        Without `overwrite`, a record whose key is there is refused where the store can refuse it by itself;
        the caller has looked for it before.
        """
        ...


@runtime_checkable
class StoppedKeeper(StoreKeeper, Protocol):
    """A store that is stopped for the copy before its restore, and stays so: between them it need not run."""

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


@runtime_checkable
class MovingKeeper(SafetyKeeper, Protocol):
    """A store that may have been somewhere else at the backup: a restore overwrites that place too."""

    def keep_both(self, folder: Path, backup: Path) -> Kept:
        """As `keep_safe`; keeps also what is now at the places where the backup in `backup` had the store."""
        ...


Keep = Callable[[Path], Kept]
"""Writes a complete backup into a folder, which exists and is empty. See `StoreKeeper.back_up`."""


def kept_by(keeper: StoreKeeper, *, up: bool, backup: Path) -> Keep:
    """Return what copies a store before the restore of `backup`, its own folder of a set.

    Only a `StoppedKeeper` works when the store is not `up`.
    """
    if isinstance(keeper, StoppedKeeper):
        return partial(keeper.keep_aside, up=up)
    if isinstance(keeper, MovingKeeper):
        return partial(keeper.keep_both, backup=backup)
    return keeper.keep_safe if isinstance(keeper, SafetyKeeper) else keeper.back_up


class StoreClients(Protocol):
    """The clients of one store, as its operator account sees them. It stays connected between questions."""

    def others(self) -> Sequence[Client]:
        """Return the clients that this process did not open, whatever their account; not the server's own.

        Raises:
            Blind: the account may not see them. `Unverifiable`: the store did not answer; open new clients.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """One connection: its account, and the host that the server sees it from.

    `name` is the one that it gives itself, if the server tells.
    """

    account: str
    host: str
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return account and host in one word."""
        return f"{self.account}@{self.host}"

    @property
    def inside(self) -> bool:
        """Whether it comes from where the server itself runs, as the server sees it."""
        try:
            return self.host in {"", "localhost"} or ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False
