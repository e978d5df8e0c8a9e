"""What every store's write side offers: to keep what is there, and to put back what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup holds: records by collection (the names of `StoreView.counts`) and bytes on disk.

    `method` says how it was taken, in the words of the runbook's data safety matrix.
    """

    method: str
    records: Mapping[str, int]
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore put back: records by collection, and what it had to drop or could not put back."""

    records: Mapping[str, int]
    notes: tuple[str, ...] = ()


class StoreKeeper(Protocol):
    """Write side of one store, on its operator account. Raises `ActionFailed` or `Unverifiable`."""

    name: str
    kind: str

    def back_up(self, folder: Path) -> Kept:
        """Write a complete backup into `folder`, which exists and is empty; changes nothing in the store.

        The files are complete only when this returns: a reader must be able to tell a backup that was cut.
        """
        ...

    def restore(self, folder: Path) -> Restored:
        """Bring the store's data back to exactly what `folder` holds, removing what came after.

        May be called twice; a second call after a kill must end in the same state. The backup is checked
        to be whole before the first byte of the store is changed.
        """
        ...


@runtime_checkable
class StoppedKeeper(StoreKeeper, Protocol):
    """A store that is stopped to be backed up, and to be restored: between the two it need not run."""

    def keep_aside(self, folder: Path) -> Kept:
        """As `back_up`, right before a restore: the store's services are left stopped."""
        ...
