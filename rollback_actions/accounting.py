"""Accounting for records: what became of each that was there before a restore, and whence each came after it.

- *kept*: there before and after, the same.
- *restored*: there before with another content; the backup's is back.
- *exported*: there before and not after, or in another content; it is in the lost window.
- *revived*: not there before: deleted since the backup, it came back with the restore.
- *expired*: there before, and gone by itself since.
- *unaccounted*: there before, and now neither in the store nor in the lost window.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from fixtures.command import Deadline
from fixtures.comparison import Keys
from fixtures.engines.engine import ContainerEngine
from fixtures.record_blocks import read_block
from fixtures.stores.content import ContentView, Digest, Pace, RecordHash
from fixtures.stores.factory import open_content
from fixtures.target import Target
from rollback_actions.changes import (
    Ground,
    aligned,
    difference,
    live_digests,
    live_parts,
    pairs,
    require_time,
)
from rollback_actions.index import PART, StoreIndex, counted_collections, every_field, pace_of
from rollback_actions.lost_window import WindowCollection, WindowStore

Revived = Callable[[str, str], None]
"""Is told the collection and the key of each record that came back."""


@dataclass(slots=True)
class Account:
    """What became of records. `unknown` are collections whose records could not be read, with the reason."""

    kept: int = 0
    restored: int = 0
    exported: int = 0
    revived: int = 0
    expired: int = 0
    unaccounted: int = 0
    first: Keys = field(default_factory=Keys)
    unknown: dict[str, str] = field(default_factory=dict)

    def __iadd__(self, other: Account) -> Self:
        """Add another account to this one."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for key in other.first.first:
            self.first.add(key)
        self.unknown |= other.unknown
        return self

    def __str__(self) -> str:
        """Return the counts in words."""
        counts = (f"{count:,} {name}" for name, count in self.counts().items())
        unknown = "".join(f"; {name} unknown: {reason}" for name, reason in self.unknown.items())
        return ", ".join(counts) + unknown

    def counts(self) -> dict[str, int]:
        """Return each count by its name; those that are rare only where there is one."""
        return {name: getattr(self, name) for name in COUNTS if name not in _RARE or getattr(self, name)}


COUNTS = tuple(f.name for f in fields(Account) if f.name not in {"first", "unknown"})
_RARE = ("expired",)


def account_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    window: WindowStore,
    folder: Path,
    limit: Deadline,
) -> Account:
    """Return what became of the records of store `name`, which has been restored, within `limit`.

    `window` is what it held before, in `folder`; there ``revived.jsonl`` is made, the list of what came back.

    Raises:
        Problem: the store does not answer, or the records of before cannot be read.
    """
    profile = every_field(target.stores[name])
    now = set(counted_collections(name, profile, engine))
    # What could not be read before cannot be accounted for now.
    names = [key for key in (*window.collections, *sorted(now)) if key not in window.unknown]
    revived = folder / "revived.jsonl"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with revived.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        writing = threading.Lock()

        def came_back(collection: str, key: str) -> None:
            with writing:
                stream.write(json.dumps({"collection": collection, "key": key}, ensure_ascii=False) + "\n")

        def accounted(collection: str) -> Account:
            with open_content(name, profile, engine) as content:
                there = collection in now
                before = window.collections.get(collection)
                found = _Collection(content, collection, index, before, folder, pace_of(profile))
                return found.account(came_back, limit, there=there)

        total = Account(unknown=dict(window.unknown))
        with ThreadPoolExecutor(profile.load.connections) as pool:
            for account in pool.map(accounted, dict.fromkeys(names)):
                total += account
    if not total.revived:
        revived.unlink()
    return total


class _Collection:
    """The records of one collection, before and after."""

    def __init__(
        self,
        content: ContentView,
        collection: str,
        index: StoreIndex | None,
        before: WindowCollection | None,
        folder: Path,
        pace: Pace,
    ) -> None:
        self._content, self._collection, self._pace = content, collection, pace
        self._before, self._folder = before, folder
        indexed = index is not None and collection in index.collections and (before is None or before.indexed)
        self._index = index if indexed else None

    def account(self, came_back: Revived, limit: Deadline, *, there: bool) -> Account:
        """Account for all of it; `there` says whether the collection is there now."""
        require_time(limit, f"account for the records of {self._collection}")
        account = Account()
        ground = self._ground()
        every = range(len(ground.division))
        digests = live_digests(self._content, ground, self._pace) if there else ()
        before = [self._digest_before(part) for part in every]
        same = [part for part in every if there and self._unchanged(part) and digests[part] == before[part]]
        account.kept = sum(before[part].records for part in same)
        others = [part for part in every if part not in set(same)]
        now = (
            live_parts(self._content, ground, others, self._pace)
            if there
            else ((p, iter(())) for p in others)
        )
        for part, records in now:
            require_time(limit, f"account for the records of {self._collection}")
            size = max(before[part].records, digests[part].records if there else 0)
            streams = (self._records_before(ground, part), self._exported(part), records)
            for held, exported, held_now in aligned(size, *streams):
                self._account(held, exported, held_now, account, came_back)
        return account

    def _ground(self) -> Ground:
        if self._before is not None:
            division = self._before.division
        elif self._index is not None:
            division = self._index.collections[self._collection].division
        else:
            division = self._content.divide(self._collection, PART)
        return Ground(self._collection, division, (Digest(0, 0),) * len(division), self._index)

    def _digest_before(self, part: int) -> Digest:
        return Digest(0, 0) if self._before is None else self._before.parts[part].digest

    def _unchanged(self, part: int) -> bool:
        """Tell whether the part had not been written to since the backup."""
        return self._before is not None and self._before.parts[part].now is None

    def _records_before(self, ground: Ground, part: int) -> Iterable[RecordHash]:
        if self._before is None:
            return ()
        block = self._before.parts[part].now
        if block is None:
            return ground.before(part)
        return read_block(self._folder / self._before.now_file, *block)

    def _exported(self, part: int) -> Iterator[RecordHash]:
        block = None if self._before is None else self._before.parts[part].exported
        if self._before is None or block is None:
            return iter(())
        return read_block(self._folder / self._before.exported_file, *block)

    def _account(
        self,
        before: Iterable[RecordHash],
        exported: Iterable[RecordHash],
        now: Iterable[RecordHash],
        account: Account,
        came_back: Revived,
    ) -> None:
        """Add what became of records that have their keys in common with no others."""
        held = list(before)
        found = difference(held, now)
        account.kept += len(held) - len(found.gone)
        left, today = pairs(exported), time.time()
        for record in found.gone:
            if left[record.key, record.hash] > 0:
                left[record.key, record.hash] -= 1
                account.exported += 1
            elif record.expires is not None and record.expires <= today:
                account.expired += 1
            else:
                account.unaccounted += 1
                account.first.add(f"{self._collection} {record.key}")
        keys = {record.key for record in held}
        for record in found.written:
            if record.key in keys:
                account.restored += 1
            else:
                account.revived += 1
                came_back(self._collection, record.key)
