"""The write side of every store: back it up, restore it, and where possible tell who else writes to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import SecretStr

from rollproof.engines.engine import ContainerEngine, Endpoint, Mount
from rollproof.errors import ActionFailed
from rollproof.profile.data_formats import Fit, Marks, judge
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.sections import Address, WatchedProfile
from rollproof.profile.store_descriptor import Profile
from rollproof.stores.client_name import NAME, NAMES
from rollproof.stores.contract import Blind, ExportedRecord, RecordHash
from rollproof.stores.listed import in_parts
from rollproof.stores.package import Kept, Package
from rollproof.stores.reach import Reach, account_of
from rollproof.stores.registry import reader_at
from rollproof.stores.snapshot import PART, Snapshot


class StoreControl(Protocol):
    """What a keeper does to the containers of its store; the docstrings of `ComposeControl` say how."""

    def run(
        self,
        service: str,
        command: Sequence[str],
        *,
        deadline: float,
        environment: Mapping[str, SecretStr] | None = None,
        stdin: Path | None = None,
        stdout: Path | None = None,
    ) -> str:
        """Run a command in the container of a service, and return its output."""

    def stop(self, services: Iterable[str], *, deadline: float) -> None:
        """Stop the containers of services."""

    def start(self, services: Iterable[str], *, deadline: float) -> None:
        """Start the containers of services, and wait until they are well."""

    def save_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> Sequence[Path]:
        """Write each data volume of stopped services to a tar."""

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of stopped services equal to its tar."""

    def keep_files(self, mount: Mount, images: Sequence[str], archive: Path, *, deadline: float) -> None:
        """Write the files of a mount to a tar."""

    def replace_files(
        self,
        mount: Mount,
        images: Sequence[str],
        archive: Path,
        *,
        deadline: float,
        spared: Sequence[str] = (),
    ) -> None:
        """Make the files of a mount those in a tar."""

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint of an address, now."""


@dataclass(frozen=True, slots=True)
class Operated(Generic[Profile]):
    """One store as its operator reaches it.

    `engine` is for a store that is no server: it is read through the containers.
    """

    store: str
    profile: Profile
    endpoint: Endpoint
    engine: ContainerEngine | None = field(default=None, kw_only=True)

    @property
    def reach(self) -> Reach:
        """The operator's way to it, for one request."""
        account = account_of(self.profile.operator)
        return Reach(self.store, self.endpoint, account, self.profile.deadline_seconds)


@dataclass(frozen=True, slots=True)
class Writable(Operated[Profile]):
    """One store as its keeper is given it. `deadline` is in seconds, for a whole backup or restore."""

    control: StoreControl
    deadline: float


@dataclass(frozen=True, slots=True)
class Put:
    """How exported records are written back into one collection.

    `write` writes one record, or raises `Problem`: the record is refused, or the store does not answer. A
    store that `appends` gives each record a new key: none is replaced, and none found by its old key.
    `remove` removes one record by its key; None where no single record can be removed.
    `left_out` are the columns of the records written so far that the collection does not have.
    """

    write: Callable[[ExportedRecord], object]
    appends: bool = False
    remove: Callable[[ExportedRecord], object] | None = None
    left_out: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: records by collection, and notes on data that was dropped or left out.

    `unsettled` are collections that users may have written to while the backup was taken: it says no exact
    number of their records.
    """

    records: Mapping[str, int]
    notes: tuple[str, ...] = ()
    unsettled: frozenset[str] = frozenset()


class StoreKeeper(ABC):
    """Write side of one store, on its operator account. Raises `ActionFailed` or `Unverifiable`."""

    name: str
    kind: str
    stopped: ClassVar[bool] = False
    """Whether `keep_safe` stops the store for its restore: then it need not run before."""

    def __init__(self, writable: Writable[Any]) -> None:
        """Remember how to connect; the first call connects."""
        self.name = writable.store
        self.kind = writable.profile.kind
        self._profile: Any = writable.profile
        self._control = writable.control
        self._reach = writable.reach
        # The same way, for steps that take as long as a backup or a restore.
        limit = "rollback_seconds, or premigration.scratch.seconds of a trial, in the profile"
        self._whole = replace(self._reach, deadline=writable.deadline, limit=limit)

    @abstractmethod
    def back_up(self, folder: Path) -> Kept:
        """Write a complete backup into `folder`, which exists and is empty; changes nothing in the store.

        The files are complete only when this returns: a reader must be able to tell a truncated backup.
        """

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`, right before a restore of `backup`, whatever was dropped or broken since.

        Missing objects are kept as absent. Objects that cannot be read are left out, but never records; and
        `method` says so. What is now where `backup` had the store is kept too: a restore overwrites that.

        A store that is `stopped` is left so. If it is not `up`, and did not start, it is kept as it lies.
        """
        return self.back_up(folder)

    def load(self) -> Sequence[str]:
        """Load what nobody can read until it is loaded, right before a restore that undoes it.

        Returns the loaded collections' names. One that cannot be loaded is left as it is.
        """
        return ()

    @abstractmethod
    def restore(self, folder: Path) -> Restored:
        """Bring the store's data back to exactly the content of `folder`, removing everything newer.

        May be called twice; a second call after a kill must end in the same state. The backup is checked
        to be whole before the first byte of the store is changed.
        """

    def restore_kept(self, folder: Path, safety: Path) -> Restored:
        """As `restore`; `keep_safe` wrote `safety`, and nothing but a restore has written since."""
        return self.restore(folder)

    @abstractmethod
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> AbstractContextManager[Put]:
        """Open the way back for exported records of `collection`; files that they name are below `folder`.

        Without `overwrite`, a record whose key is there is refused where the store can refuse it by itself;
        the caller has looked for it before.
        """

    def _failed(self, what: str, *, expected: object, observed: object, hint: str) -> ActionFailed:
        return action_failed(self._reach, what, expected=expected, observed=observed, hint=hint)

    def _not_restored(
        self, observed: str, *, of: str = "", expected: str = "what the backup holds"
    ) -> ActionFailed:
        """Return the error of a restore, of the whole store or of a part, that ended otherwise."""
        return self._failed(
            f"restore of {of}" if of else "restore",
            expected=expected,
            observed=observed,
            hint="the store is between old and new: stop everything that writes to it, and restore again",
        )

    def _expect_same(self, package: Package, what: str, kept: object, wanted: object) -> None:
        """Refuse a backup that differs from the present profile or server."""
        if kept != wanted:
            raise ActionFailed(
                what=f"restore of store {self.name}",
                expected=f"a backup with {what} {_in_words(wanted)}, as the store is now",
                observed=f"one with {_in_words(kept)}",
                source=str(package.folder),
                hint="this backup belongs to another target, or the profile has changed since",
            )

    def _expect_readable(self, package: Package, server: Marks) -> None:
        """Refuse a server that cannot read the backup: a rollback's plan has asked the same."""
        judgement = judge(descriptor_of(self._profile).format_of, package.details, server)
        if judgement.fit is Fit.REFUSED:
            raise self._failed(
                "restore",
                expected="a server that reads what the backup holds",
                observed=judgement.reason,
                hint="bring back the version of the server that wrote it, or choose another backup",
            )


class RecordKeeper(StoreKeeper):
    """Write side of a store whose backup is its records: the pass that writes them makes their index too."""

    def __init__(self, writable: Writable[Any], *, operator: bool = True) -> None:
        """Also open a reader, on the operator's account or not. Each request has the time of a backup."""
        super().__init__(writable)
        whole = {"exclude": {}, "deadline_seconds": writable.deadline}
        profile = writable.profile.model_copy(update=whole)
        self._reader: Any = reader_at(
            self.name, profile, writable.endpoint, writable.engine, operator=operator
        )

    def back_up(self, folder: Path) -> Kept:
        """Back up without an index."""
        return self.back_up_indexed(folder, None)

    @abstractmethod
    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """As `StoreKeeper.back_up`; also add each record to `index`, with the hash that readers will find.

        A record in the backup and its hash must be of one moment: what is as the index has it is not
        exported before a restore. What a restore empties need not be added.
        """


def add_records(
    index: Snapshot | None,
    collection: str,
    names: Iterable[Any],
    place: Callable[[Any], str],
    read: Callable[[Sequence[Any]], Iterable[RecordHash]],
) -> int:
    """Read the records with these `names` part by part, in the order of their places, into `index`.

    Returns the number of records.
    """
    parts = enumerate(in_parts(names, place, PART))
    return sum(add_part(index, collection, number, bound, read(part)) for number, (bound, part) in parts)


def add_part(
    index: Snapshot | None, collection: str, number: int, bound: str, records: Iterable[RecordHash]
) -> int:
    """Read `records` to the end, into a part of `index` if there is one; return their number."""
    if index is None:
        return sum(1 for _ in records)
    # Which field differs is no question of a restore.
    plain = (replace(record, fields={}) for record in records)
    return index.add(collection, number, bound, plain).records


Keep = Callable[[Path], Kept]
"""Writes a complete backup into a folder, which exists and is empty. See `StoreKeeper.back_up`."""


class StoreClients(Protocol):
    """The clients of one store, as its operator account sees them. It stays connected between questions."""

    def others(self) -> Sequence[ConnectedClient]:
        """Return the clients that this process did not open, whatever their account; not the server's own.

        Raises:
            Blind: the account may not see them. `Unverifiable`: the store did not answer; open new clients.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectedClient:
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


def action_failed(reach: Reach, what: str, *, expected: object, observed: object, hint: str) -> ActionFailed:
    """Return the error of a step on the store of `reach`."""
    return ActionFailed(
        what=f"{what} of store {reach.store}",
        expected=expected,
        observed=observed,
        source=reach.address,
        hint=hint,
    )


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


Watched = TypeVar("Watched", bound=WatchedProfile)
_GRANT = "grant it, so that a writer can be seen while data is restored"


def strangers(operated: Operated[Watched], found: Sequence[ConnectedClient]) -> list[ConnectedClient]:
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
