"""Milvus, write side: a snapshot of all its volumes together, as of one moment.

Milvus is stopped for the copy (180 MB took 5 to 11 s), and before a restore. It is not paused: 2.3.5 with
sessions of 5 s survived a pause of 2 s, and after one of 3 s it ended itself.

The volumes hold the accounts too: a restore brings back the accounts at the time of the backup.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pymilvus.client.types import LoadState

from rollproof.errors import Problem, Unverifiable
from rollproof.profile.sections import Model, Policy
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.milvus.client import WORKERS, Milvus
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.milvus.table import Entities
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.policy import chosen, policy_of
from rollproof.stores.reach import Countdown
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each

METHOD = "snapshot of all volumes together, stopped"
POLL_SECONDS = 0.3
# Policies by which users may change records as they like.
STOP_SECONDS, START_SECONDS = 120.0, 180.0

Counts = Mapping[str, int | None]
"""The number of records by collection; None of one that is not loaded."""


class _MilvusDetails(Model):
    """The server's collections before the backup.

    Of the `unsettled` the copy may hold another number of records: users wrote there meanwhile, or may have.
    """

    server: str
    collections: dict[str, int | None]
    unsettled: tuple[str, ...] = ()


class MilvusKeeper(StoreKeeper):
    """Write side of one Milvus. See `StoreKeeper`.

    The deadline is for stop and copy. A start after them has its own, since it is due however they ended, and
    what is to be loaded then has `ready_seconds`.
    """

    _profile: MilvusProfile

    stopped = True

    def back_up(self, folder: Path) -> Kept:
        """Flush, copy every volume, and check that nobody wrote meanwhile but who may.

        The services are stopped for the copy; they run again when this returns or raises.
        """
        countdown = self._whole.start()
        before = self._flushed()
        try:
            self._copy(folder, countdown)
        finally:
            self._start()

        def policy(name: str) -> Policy:
            return policy_of(self._profile, name)

        after = self._wait_until(before.collections, "backup", but=lambda name: policy(name).allows_added)
        unsettled = tuple(
            name
            for name in sorted({*before.collections, *after})
            if policy(name).allows_changed or _text(after, name) != _text(before.collections, name)
        )
        return self._package(folder, before.model_copy(update={"unsettled": unsettled}), METHOD)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """Flush, stop, copy every volume, and stay stopped: a start costs more than the copy.

        A server that is not `up` cannot be flushed or asked: its volumes are copied as they lie. So are those
        of a server that answers the account but cannot flush or count: the rollback may have to cure that.
        """
        countdown = self._whole.start()
        before: _MilvusDetails | None = None
        method = f"{METHOD}, as they lay: it did not start"
        if up:
            with self._connected() as milvus:
                milvus.listed()  # a question open to any account that may connect
            try:
                before, method = self._flushed(), METHOD
            except Unverifiable as problem:
                method = f"{METHOD}, as they lay: it could not be flushed and counted: {problem.summary}"
        self._copy(folder, countdown)
        return self._package(folder, before, method)

    def load(self) -> Sequence[str]:
        """Load the profile's collections that are not loaded. See `StoreKeeper`."""
        # The other stores' exports are not to wait for what may never be loaded.
        patience = Deadline(min(self._profile.ready_seconds, self._whole.deadline / 4))
        loaded = []
        with self._connected() as milvus:
            for name in chosen(milvus.listed(), self._profile.collections):
                # Without an index, or memory, it cannot be loaded; then its records stay unknown.
                with suppress(Unverifiable), milvus.asked(f"a load of {name}") as client:
                    state = client.get_load_state(name, timeout=self._reach.deadline)["state"]
                    if state == LoadState.NotLoad and not patience.passed:
                        client.load_collection(name, timeout=patience.remaining)
                        loaded.append(name)
        return loaded

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Upsert each entity; insert it where the server makes the keys."""
        with self._connected() as milvus:
            entities = Entities(milvus, collection)

            def write(record: ExportedRecord) -> None:
                row = entities.row(cast("Mapping[str, Any]", record.content))
                with milvus.asked(f"an entity of {collection}") as client:
                    put = client.insert if entities.automatic else client.upsert
                    put(collection, [row], timeout=self._reach.deadline)

            def remove(record: ExportedRecord) -> None:
                with milvus.asked(f"an entity of {collection}") as client:
                    only = entities.only(record.key)
                    client.delete(collection, filter=only, timeout=self._reach.deadline)

            yield Put(write, appends=entities.automatic, remove=remove)

    def _connected(self) -> Milvus:
        """Return a client for where the services are now."""
        return Milvus(self._reach, self._profile.database)

    def restore(self, folder: Path) -> Restored:
        """Stop, make every volume equal to `folder`, start, and wait for a real count of each collection.

        Collections are loaded as recorded. When the volumes could not be loaded, the services
        stay stopped: the volumes may be half old, half new.
        """
        countdown = self._whole.start()
        details = read_package(folder, kind=self.kind).details
        recorded = _MilvusDetails.model_validate(details) if details else None
        self._stop(countdown)
        try:
            self._control.load_volumes(self._profile.services, folder, deadline=countdown.left())
        except Problem as problem:
            problem.add_note(
                f"{', '.join(self._profile.services)} stay stopped: their volumes may be half restored. "
                f"Restore again before starting them."
            )
            raise
        self._start()
        if recorded is None:
            unasked = "it could not be asked when it was kept: nothing to compare with"
            return Restored(records={}, notes=(unasked,))
        found = self._wait_until(recorded.collections, "restore", but=recorded.unsettled.__contains__)
        notes = tuple(
            f"{name} was not loaded when it was backed up: it is back, and was not counted"
            for name, records in sorted(found.items())
            if records is None
        )
        return Restored(records=self._records(found), notes=notes, unsettled=frozenset(recorded.unsettled))

    def _copy(self, folder: Path, countdown: Countdown) -> None:
        self._stop(countdown)
        self._control.save_volumes(self._profile.services, folder, deadline=countdown.left())

    def _package(self, folder: Path, details: _MilvusDetails | None, method: str) -> Kept:
        return write_package(
            folder,
            kind=self.kind,
            method=method,
            means=Means.VOLUMES if details else Means.PARTIAL,
            records=self._records(details.collections) if details else {},
            details=details.model_dump() if details else {},
        )

    def _stop(self, countdown: Countdown) -> None:
        # The grace is the compose file's. Milvus 2.3.5 alone uses all of it, and is then killed.
        self._control.stop(self._profile.services, deadline=min(countdown.left(), STOP_SECONDS))

    def _start(self) -> None:
        self._control.start(self._profile.services, deadline=min(self._whole.deadline, START_SECONDS))
        # A service without a published port of its own may have another address than before.
        endpoint = self._control.resolve(self._profile.address)
        self._reach = replace(self._reach, endpoint=endpoint)

    def _flushed(self) -> _MilvusDetails:
        """Seal the inserted records, and return the state of all collections."""
        with self._connected() as milvus:
            names = milvus.listed()
            with milvus.asked("a flush of every collection") as client:
                # The longer deadline is for the server's limit on flushes: they queue.
                each(lambda name: client.flush(name, timeout=60.0), names, workers=WORKERS, name="milvus")
            patience = Deadline(self._profile.ready_seconds)
            return _MilvusDetails(server=milvus.version(), collections=self._counted(milvus, {}, patience))

    def _counted(self, milvus: Milvus, expected: Counts, patience: Deadline) -> dict[str, int | None]:
        """Return the number of records of every collection, after loading those with a number in `expected`.

        A collection that is being loaded, as after a start, is waited for within `patience`. No collection is
        released: whoever loaded it needs it.
        """
        deadline = self._reach.deadline

        def look(name: str) -> int | None:
            with milvus.asked(f"the state of {name}") as client:
                while (state := client.get_load_state(name, timeout=deadline)["state"]) == LoadState.Loading:
                    if patience.passed:
                        raise self._reach.failed(
                            "loading",
                            expected=f"{name} loaded or not loaded",
                            hint="wait until it is loaded, then try again",
                        )
                    time.sleep(POLL_SECONDS)
                if state == LoadState.NotLoad and expected.get(name) is not None:
                    client.load_collection(name, timeout=deadline)
                    state = client.get_load_state(name, timeout=deadline)["state"]
            return milvus.count(name) if state == LoadState.Loaded else None

        return each(look, milvus.listed(), workers=WORKERS, name="milvus")

    def _wait_until(self, expected: Counts, after: str, *, but: Callable[[str], bool]) -> Counts:
        """Wait until all collections `but` some are as `expected`, loading those with a number there.

        One that was not loaded, and so not counted, may be loaded by now.

        Raises `ActionFailed` if that takes longer than the profile's `ready_seconds`.
        """
        patience = Deadline(self._profile.ready_seconds)
        while True:
            try:
                with self._connected() as milvus:
                    found = self._counted(milvus, expected, patience)
            except Unverifiable as error:
                observed = error.observed
            else:
                observed = ", ".join(
                    f"{name} {_text(found, name)} instead of {_text(expected, name)}"
                    for name in sorted({*expected, *found})
                    if not but(name) and _differs(found, expected, name)
                )
                if not observed:
                    return found
            if patience.passed:
                raise self._failed(
                    f"collections after the {after}",
                    expected=f"those of the backup within {patience.seconds:g} s",
                    observed=observed,
                    hint="a difference in counts: something writes, stop the application's writers first; "
                    "no answer: see the server's log, and raise `ready_seconds` when it only needs longer",
                )
            time.sleep(POLL_SECONDS)

    def _records(self, collections: Counts) -> Mapping[str, int]:
        """Return the counts of the collections that the profile chooses."""
        counts = {name: records for name, records in collections.items() if records is not None}
        return {name: counts[name] for name in chosen(counts, self._profile.collections)}


def _differs(found: Counts, expected: Counts, name: str) -> bool:
    uncounted = name in found and name in expected and expected[name] is None
    return not uncounted and _text(found, name) != _text(expected, name)


def _text(collections: Counts, name: str) -> str:
    if name not in collections:
        return "absent"
    records = collections[name]
    return "not loaded" if records is None else f"{records} records"
