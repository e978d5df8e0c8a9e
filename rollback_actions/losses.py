"""What a rollback loses: exported before the restore, accounted for after it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.command import Deadline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Problem
from fixtures.files import canonical_json, write_whole
from fixtures.target import Target
from rollback_actions.accounting import Account, account_store
from rollback_actions.backup import BackupSet, each_store
from rollback_actions.index import StoreIndex, read_index
from rollback_actions.lost_window import (
    Window,
    WindowStore,
    new_window,
    read_window,
    replays,
    write_window,
)
from rollback_actions.steps import Recorder
from rollback_actions.unfinished import Unfinished
from rollback_actions.window_export import export_store

ACCOUNTS = "accounting.json"


def export_step(store: str) -> str:
    """Return the name of the step that exports what was written to a store."""
    return f"export what {store} was written since the backup"


def account_step(store: str) -> str:
    """Return the name of the step that accounts for the records of a store."""
    return f"account for the records of {store}"


@dataclass(slots=True)
class Losses:
    """What the rollback `unfinished` loses by going back to `backup`. Usable from threads."""

    target: Target
    engine: ContainerEngine
    backup: BackupSet
    unfinished: Unfinished
    accounts: dict[str, Account] = field(default_factory=dict)
    _indexes: dict[str, StoreIndex | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def export(self, names: Iterable[str], down: Collection[str], steps: Recorder, limit: Deadline) -> None:
        """Export what was written since the backup to the stores `names`, of which `down` cannot be asked.

        What an earlier run of this rollback has exported is not exported again.

        Raises:
            ActionFailed: what was read could not be written.
        """
        folder = new_window(self.unfinished.incident.folder)
        earlier = list(self._whole_windows(steps))

        def export(name: str) -> WindowStore:
            if name in down:
                return WindowStore(collections={}, unknown={name: "it is not up"})
            with steps(export_step(name), limit.remaining) as step:
                index = self._index(name, steps)
                found = export_store(self.target, self.engine, name, index, earlier, folder / name, limit)
                step.result = str(found)
            return found

        stores = each_store(tuple(names), export)
        window = Window(backup=self.backup.folder.name, stores=stores)
        write_window(folder, window, dict(replays(self.target, self.engine, stores)))
        self.unfinished.seal(folder.name)

    def account(self, name: str, steps: Recorder, limit: Deadline) -> None:
        """Account for the records of store `name`, which has been restored.

        What cannot be accounted for is unknown: no reason to leave a restored target stopped.
        """
        with steps(account_step(name), limit.remaining) as step:
            try:
                windows = [read_window(folder) for folder in self._folders()]
                account = account_store(
                    self.target, self.engine, name, self._index(name, steps), windows, limit
                )
            except Problem as problem:
                account = Account(unknown={name: problem.summary})
            except OSError as error:
                reason = error.strerror or type(error).__name__
                account = Account(unknown={name: f"its account could not be written: {reason}"})
            step.result = str(account)
        with self._lock:
            self.accounts[name] = account

    def finish(self) -> Mapping[str, int]:
        """Write the accounts of all stores down, and that they are restored; return the counts of all.

        Raises:
            ActionFailed: they could not be written.
        """
        total = Account()
        for account in self.accounts.values():
            total += account
        record = {
            name: {**account.counts(), "first": account.first.first, "unknown": account.unknown}
            for name, account in self.accounts.items()
        }
        path = self._folders()[0] / ACCOUNTS
        try:
            write_whole(path, canonical_json(record))
        except OSError as error:
            raise ActionFailed(
                what="accounts of the records",
                expected="a file that can be written",
                observed=error.strerror or type(error).__name__,
                source=str(path),
                hint="make room there, or correct the permissions, then resume: the stores are restored",
            ) from None
        self.unfinished.restored(total.counts())
        return total.counts()

    def _folders(self) -> list[Path]:
        return [self.unfinished.incident.folder / name for name in self.unfinished.windows]

    def _whole_windows(self, steps: Recorder) -> Iterator[Window]:
        for folder in self._folders():
            try:
                yield read_window(folder)
            except ActionFailed as problem:
                steps.note(f"what {folder.name} holds is exported again where it is there: {problem.summary}")

    def _index(self, name: str, steps: Recorder) -> StoreIndex | None:
        """Return the index of a store, None where no record is known to be in the backup."""
        if name not in self._indexes:
            # Once: all of its files are hashed for it.
            self._indexes[name] = self._read_index(name, steps)
        return self._indexes[name]

    def _read_index(self, name: str, steps: Recorder) -> StoreIndex | None:
        if self.target.stores[name].emptied:  # what has not been written since is lost all the same
            return None
        try:
            return read_index(self.backup.folder, name, self.backup.index)
        except ActionFailed as problem:
            steps.note(f"no record of {name} is known to be in the backup: {problem.summary}")
            return None
