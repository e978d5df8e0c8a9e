"""The losses of a rollback: exported before the restore, accounted for after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollback_actions.outside import Outside
from rollback_actions.session.session import Recorder
from rollproof.backups.sets import BackupSet, read_index
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, reason_of
from rollproof.incident.journal import Step
from rollproof.losses.accounting import RecordFates, account_store
from rollproof.losses.lost_window import (
    LostWindow,
    WindowStore,
    export_store,
    new_window,
    read_window,
    write_window,
)
from rollproof.planning.unfinished import Unfinished
from rollproof.profile.profile import Target
from rollproof.record_names import ACCOUNTS
from rollproof.stores.snapshot import Snapshot
from rollproof.system.command import Deadline
from rollproof.system.record_files import write_record


@dataclass(slots=True)
class Losses:
    """The losses of the rollback `unfinished`, which goes back to `backup`. Usable from threads."""

    target: Target
    engine: ContainerEngine
    backup: BackupSet
    unfinished: Unfinished
    outside: Outside
    accounts: dict[str, RecordFates] = field(default_factory=dict)
    _indexes: dict[str, Snapshot | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def window(
        self, down: Collection[str], steps: Recorder, limit: Deadline, load: Callable[[str], object]
    ) -> Iterator[Callable[[str], bool]]:
        """Give what does `load` for a store and exports the data written to it since the backup.

        Stores in `down` cannot be asked. Data that an earlier run of this rollback has exported is not
        exported again. True says that the store may hold data which no earlier run saw: records to export,
        or some that could not be read. At the end of the block the window is complete.
        """
        folder = new_window(self.unfinished.incident.folder)
        earlier = list(self._whole_windows(steps))
        stores: dict[str, WindowStore] = {}

        def export(name: str) -> bool:
            if name in down:
                stores[name] = WindowStore(collections={}, unknown={name: "it is not up"})
                return True
            load(name)
            with steps(Step.EXPORT, name, limit.remaining) as step:
                index = self._index(name, steps)
                found = export_store(
                    self.target,
                    self.engine,
                    name,
                    index,
                    earlier,
                    folder / name,
                    limit,
                    self.outside.open_reader,
                    self.outside.open_exporter,
                )
                step.result = str(found)
            stores[name] = found
            return bool(found.lines or found.unknown)

        yield export
        write_window(folder, LostWindow(self.backup.folder.name, stores, folder=folder))
        self.unfinished.seal(folder.name)

    def account(self, name: str, steps: Recorder, limit: Deadline) -> None:
        """Account for the records of store `name`, which has been restored.

        Records that cannot be accounted for are unknown: no reason to leave a restored target stopped.
        """
        with steps(Step.ACCOUNT, name, limit.remaining) as step:
            try:
                windows = [read_window(folder) for folder in self._folders()]
                index = self._index(name, steps)
                account = account_store(
                    self.target, self.engine, name, index, windows, limit, self.outside.open_reader
                )
            except Problem as problem:
                account = RecordFates(unknown={name: problem.summary})
            except OSError as error:
                reason = reason_of(error)
                account = RecordFates(unknown={name: f"its account could not be written: {reason}"})
            step.result = str(account)
        with self._lock:
            self.accounts[name] = account

    def finish(self, blind: Mapping[str, str]) -> None:
        """Write all stores' accounts, and record that the stores are restored.

        `blind` are the stores where a writer may have been unseen, each with the reason.
        """
        total = RecordFates()
        for account in self.accounts.values():
            total += account
        record = {name: account.record() for name, account in self.accounts.items()}
        path = self._folders()[0] / ACCOUNTS
        try:
            write_record(path, record)
        except OSError as error:
            raise ActionFailed.of_file(
                path,
                error,
                what="accounts of the records",
                expected="a file that can be written",
                hint="make room there, or correct the permissions, then resume: the stores are restored",
            ) from None
        self.unfinished.restored(total.counts(), blind)

    def _folders(self) -> list[Path]:
        return [self.unfinished.incident.folder / name for name in self.unfinished.record.windows]

    def _whole_windows(self, steps: Recorder) -> Iterator[LostWindow]:
        for folder in self._folders():
            try:
                yield read_window(folder)
            except ActionFailed as problem:
                steps.note(f"records of {folder.name} are exported again if still there: {problem.summary}")

    def _index(self, name: str, steps: Recorder) -> Snapshot | None:
        """Return the index of a store, or None if the backup is not known to hold any of its records."""
        if name not in self._indexes:
            # Only once: reading it hashes all of its files.
            self._indexes[name] = self._read_index(name, steps)
        return self._indexes[name]

    def _read_index(self, name: str, steps: Recorder) -> Snapshot | None:
        if self.target.stores[name].emptied:  # the restore loses all records, not only the new ones
            return None
        try:
            return read_index(self.backup.folder, name, self.backup.index)
        except ActionFailed as problem:
            steps.note(f"no record of {name} is known to be in the backup: {problem.summary}")
            return None
