"""The access of a store's write side: the operator's account, and the control of the store's containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol

from pydantic import SecretStr

from rollproof.engines.engine import ContainerEngine, Endpoint, Mount
from rollproof.profile.sections import Address
from rollproof.profile.store_descriptor import Profile
from rollproof.stores.reach import Reach, account_of


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
