"""Accounting for records: the fate of each record from before a restore, and the origin of each after it.

- *kept*: present before and after, unchanged.
- *restored*: present before with another content; the backup's content is back.
- *exported*: present before, now missing or with another content; its earlier content is in the lost window.
- *revived*: absent before: deleted since the backup, it came back with the restore.
- *expired*: present before, and removed by its own expiry since.
- *unaccounted*: present before, and now neither in the store nor in the lost window.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Self

from rollproof.backups.index import PART, StoreIndex, every_field, standing_collections
from rollproof.baseline.comparison import Keys
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.incident.incident import StoreAccount
from rollproof.losses.changes import (
    Indexed,
    aligned,
    difference,
    live_digests,
    live_parts,
    pairs,
    require_time,
)
from rollproof.losses.lost_window import LostWindow
from rollproof.profile.profile import Target
from rollproof.stores.blocks import read_block
from rollproof.stores.contract import ContentView, Digest, Pace, RecordHash
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each

Revived = Callable[[str, str], None]
"""Takes the collection and the key of each record that came back."""


@dataclass(slots=True)
class Account:
    """Counts of records by their fate. `unknown` maps collections that could not be read to the reason."""

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
        """Return the counts by name, unknown collections included; zeros of rare counts are omitted."""
        counts = {**{name: getattr(self, name) for name in COUNTS}, "unknown": len(self.unknown)}
        return {name: count for name, count in counts.items() if name not in _RARE or count}

    def record(self) -> StoreAccount:
        """Return it as it is written."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return StoreAccount(**counts, first=tuple(self.first.first), unknown=self.unknown)


COUNTS = tuple(f.name for f in fields(Account) if f.name not in {"first", "unknown"})
_RARE = ("expired", "unknown")


def account_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    windows: Sequence[LostWindow],
    limit: Deadline,
) -> Account:
    """Account within `limit` for the records of the restored store `name`.

    The first of `windows` holds its records from before the restore. Each window's folder gets a
    ``revived.jsonl`` with the records that came back. Later windows hold its records from each resume of the
    rollback. They add only their exported and unaccounted records, and the collections that they could not
    read. Those stay unknown, even if another window has read them.

    Raises:
        Problem: the store does not answer, or the earlier records cannot be read.
    """
    total = _account_window(target, engine, name, index, windows[:1], limit)
    for number, window in enumerate(windows[1:], start=2):
        if name in window.stores:
            found = _account_window(target, engine, name, index, windows[:number], limit)
            # Records half restored by then were counted by their state in the first window.
            total += Account(
                exported=window.stores[name].lines,
                unaccounted=found.unaccounted,
                first=found.first,
                unknown={**window.stores[name].unknown, **found.unknown},
            )
    return total


def _account_window(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    windows: Sequence[LostWindow],
    limit: Deadline,
) -> Account:
    """Account for the records in the last of `windows`; the others are earlier."""
    window = windows[-1].stores[name]
    if name in window.unknown:
        return Account(unknown=dict(window.unknown))
    profile = every_field(target.stores[name])
    now = set(standing_collections(name, profile, engine))
    # A collection that was unreadable before cannot be accounted for now.
    names = [key for key in (*window.collections, *sorted(now)) if key not in window.unknown]
    writing = threading.Lock()
    with (windows[-1].folder / name / "revived.jsonl").open(
        "w", encoding="utf-8", errors="backslashreplace"
    ) as stream:

        def came_back(collection: str, key: str) -> None:
            with writing:
                stream.write(json.dumps({"collection": collection, "key": key}, ensure_ascii=False) + "\n")

        def accounted(collection: str) -> Account:
            with open_content(name, profile, engine) as content:
                found = _Collection(content, collection, index, windows, name, pace_of(profile))
                return found.account(came_back, limit, there=collection in now)

        total = Account(unknown=dict(window.unknown))
        workers = profile.load.connections
        for account in each(accounted, dict.fromkeys(names), workers=workers, name="accounting").values():
            total += account
    return total


class _Collection:
    """The records of one collection, before and after."""

    def __init__(
        self,
        content: ContentView,
        collection: str,
        index: StoreIndex | None,
        windows: Sequence[LostWindow],
        store: str,
        pace: Pace,
    ) -> None:
        self._content, self._collection, self._pace = content, collection, pace
        self._windows, self._store = windows, store
        before = windows[-1].stores[store].collections.get(collection)
        if before is not None and before.indexed and index is None:
            raise Unverifiable(
                what=f"records of {collection} before the rollback",
                expected="the index of the backup that they were held against",
                observed="none that is whole",
                source=store,
                hint="what was written since the backup is in the lost window; the safety copy holds all",
            )
        self._before, self._folder = before, windows[-1].folder / store
        indexed = index is not None and collection in index.collections and (before is None or before.indexed)
        self._index = index if indexed else None

    def account(self, came_back: Revived, limit: Deadline, *, there: bool) -> Account:
        """Account for the whole collection; `there` says whether it exists now."""
        require_time(limit, f"account for the records of {self._collection}")
        account = Account()
        indexed = self._indexed()
        every = range(len(indexed.division))
        try:
            digests = live_digests(self._content, indexed, self._pace) if there else ()
        except Unverifiable:
            # The rollback may have removed the key that divided it. Once closed, the reader connects again.
            self._content.close()
            return self._account_as_a_whole(indexed, came_back, limit)
        before = [self._digest_before(part) for part in every]
        same = [part for part in every if there and self._unchanged(part) and digests[part] == before[part]]
        account.kept = sum(before[part].records for part in same)
        others = [part for part in every if part not in set(same)]
        now = (
            live_parts(self._content, indexed, others, self._pace)
            if there
            else ((p, iter(())) for p in others)
        )
        for part, records in now:
            require_time(limit, f"account for the records of {self._collection}")
            size = max(before[part].records, digests[part].records if there else 0)
            streams = (self._records_before(indexed, part), self._exported(part), records)
            for held, exported, held_now in aligned(size, *streams):
                self._account(held, exported, held_now, account, came_back)
        return account

    def _account_as_a_whole(self, divided: Indexed, came_back: Revived, limit: Deadline) -> Account:
        """Account for a collection whose earlier parts, as `divided`, no longer fit it.

        Raises:
            Unverifiable: the store does not answer for its current parts either.
        """
        account = Account()
        today = self._content.divide(self._collection, PART)
        indexed = Indexed(self._collection, today, (Digest(0, 0),) * len(today), None)
        digests = live_digests(self._content, indexed, self._pace)
        parts = range(len(divided.division))
        size = max(
            sum(self._digest_before(part).records for part in parts),
            sum(digest.records for digest in digests),
        )
        streams = (
            chain.from_iterable(self._records_before(divided, part) for part in parts),
            chain.from_iterable(self._exported(part) for part in parts),
            chain.from_iterable(
                records
                for _, records in live_parts(self._content, indexed, list(range(len(today))), self._pace)
            ),
        )
        for held, exported, held_now in aligned(size, *streams):
            require_time(limit, f"account for the records of {self._collection}")
            self._account(held, exported, held_now, account, came_back)
        return account

    def _indexed(self) -> Indexed:
        if self._before is not None:
            division = self._before.division
        elif self._index is not None:
            division = self._index.collections[self._collection].division
        else:
            division = self._content.divide(self._collection, PART)
        return Indexed(self._collection, division, (Digest(0, 0),) * len(division), self._index)

    def _digest_before(self, part: int) -> Digest:
        return Digest(0, 0) if self._before is None else self._before.parts[part].digest

    def _unchanged(self, part: int) -> bool:
        """Return True if the part was not written to between the backup and the restore."""
        return self._before is not None and self._before.parts[part].now is None

    def _records_before(self, indexed: Indexed, part: int) -> Iterable[RecordHash]:
        if self._before is None:
            return ()
        block = self._before.parts[part].now
        if block is None:
            return indexed.before(part)
        return read_block(self._folder / self._before.now_file, *block)

    def _exported(self, part: int) -> Iterator[RecordHash]:
        if self._before is None:
            return iter(())
        division = self._before.division
        return chain.from_iterable(
            window.exported(self._store, self._collection, division, part) for window in self._windows
        )

    def _account(
        self,
        before: Iterable[RecordHash],
        exported: Iterable[RecordHash],
        now: Iterable[RecordHash],
        account: Account,
        came_back: Revived,
    ) -> None:
        """Account for records that share their keys with no record outside these three."""
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
