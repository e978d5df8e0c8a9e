"""What a rollback loses: exported before the restore, accounted for after it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.command import Deadline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed
from fixtures.files import canonical_json, write_whole
from fixtures.target import Target
from rollback_actions.accounting import Account, account_store
from rollback_actions.backup import BackupSet, Steps, each_store
from rollback_actions.index import StoreIndex, read_index
from rollback_actions.lost_window import Window, WindowStore, export_store, read_window, replays, write_window
from rollback_actions.steps import Recorder

ACCOUNTS = "accounting.json"


def export_step(store: str) -> str:
    """Return the name of the step that exports what was written to a store."""
    return f"export what {store} was written since the backup"


def account_step(store: str) -> str:
    """Return the name of the step that accounts for the records of a store."""
    return f"account for the records of {store}"


@dataclass(slots=True)
class Losses:
    """The lost window of one rollback to `backup`, in `folder`. Usable from threads."""

    target: Target
    engine: ContainerEngine
    backup: BackupSet
    folder: Path
    accounts: dict[str, Account] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def export(self, names: Iterable[str], down: Collection[str], steps: Recorder, limit: Deadline) -> None:
        """Export what was written since the backup to the stores `names`, of which `down` cannot be asked.

        Raises:
            ActionFailed: what was read could not be written, or not within `limit`.
        """

        def export(name: str) -> WindowStore:
            if name in down:
                return WindowStore(collections={}, unknown={name: "it is not up"})
            with steps(export_step(name)) as step:
                index = self._index(name, steps)
                found = export_store(self.target, self.engine, name, index, self.folder / name, limit)
                step.result = str(found)
            return found

        stores = each_store(tuple(names), export)
        window = Window(backup=self.backup.folder.name, stores=stores)
        write_window(self.folder, window, dict(replays(self.target, self.engine, stores)))

    def account(self, name: str, steps: Steps, limit: Deadline) -> None:
        """Account for the records of store `name`, which has been restored.

        Raises:
            Problem: the store does not answer within `limit`, or the window is not as it was written.
        """
        with steps(account_step(name)) as step:
            window = read_window(self.folder)
            before = None if window is None else window.stores.get(name)
            if before is None:
                account = Account(unknown={name: "what it held before was not recorded"})
            elif name in before.unknown:
                account = Account(unknown=dict(before.unknown))
            else:
                folder = self.folder / name
                index = self._index(name)
                account = account_store(self.target, self.engine, name, index, before, folder, limit)
            step.result = str(account)
        with self._lock:
            self.accounts[name] = account

    def finish(self) -> Account:
        """Write the accounts of all stores down; return all of it together."""
        total = Account()
        for account in self.accounts.values():
            total += account
        record = {
            name: {**account.counts(), "first": account.first.first, "unknown": account.unknown}
            for name, account in self.accounts.items()
        }
        write_whole(self.folder / ACCOUNTS, canonical_json(record))
        return total

    def _index(self, name: str, steps: Recorder | None = None) -> StoreIndex | None:
        try:
            return read_index(self.backup.folder, name, self.backup.index)
        except ActionFailed as problem:
            if steps is not None:
                steps.note(f"all of {name} is exported: {problem.summary}")
            return None
