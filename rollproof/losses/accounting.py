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
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Self

from rollproof.backups.sets import every_field, existing_collections
from rollproof.baseline.comparison import Keys
from rollproof.engines.engine import ContainerEngine
from rollproof.incident.incident import StoreAccount
from rollproof.losses.changes import division_now, require_time
from rollproof.losses.lost_window import LostWindow
from rollproof.profile.profile import Target
from rollproof.record_names import REVIVED
from rollproof.stores.contract import Pace, RecordHash
from rollproof.stores.policy import pace_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import Snapshot, differences, read_parts
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each


@dataclass(slots=True)
class RecordFates:
    """Counts of records by their fate. `unknown` maps collections that could not be read to the reason."""

    kept: int = 0
    restored: int = 0
    exported: int = 0
    revived: int = 0
    expired: int = 0
    unaccounted: int = 0
    first: Keys = field(default_factory=Keys)
    unknown: dict[str, str] = field(default_factory=dict)

    def __iadd__(self, other: RecordFates) -> Self:
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


COUNTS = tuple(f.name for f in fields(RecordFates) if f.name not in {"first", "unknown"})
_RARE = ("expired", "unknown")


def account_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: Snapshot | None,
    windows: Sequence[LostWindow],
    limit: Deadline,
    open_reader: ReaderOpener = open_reader,
) -> RecordFates:
    """Account within `limit` for the records of the restored store `name`.

    The first of `windows` holds its records from before the restore. Each window's folder gets a
    `REVIVED` with the records that came back. Later windows hold its records from each resume of the
    rollback. They add only their exported and unaccounted records, and the collections that they could not
    read. Those stay unknown, even if another window has read them.

    Raises:
        Problem: the store does not answer, or the earlier records cannot be read.
    """
    total = _account_window(target, engine, name, index, windows[:1], limit, open_reader)
    for number, window in enumerate(windows[1:], start=2):
        if name in window.stores:
            found = _account_window(target, engine, name, index, windows[:number], limit, open_reader)
            # Records half restored by then were counted by their state in the first window.
            total += RecordFates(
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
    index: Snapshot | None,
    windows: Sequence[LostWindow],
    limit: Deadline,
    open_reader: ReaderOpener,
) -> RecordFates:
    """Account for the records in the last of `windows`; the others are earlier."""
    unknown = dict(windows[-1].stores[name].unknown)
    if name in unknown:
        return RecordFates(unknown=unknown)
    profile = every_field(target.stores[name])
    now = set(existing_collections(name, profile, engine, open_reader))
    writing = threading.Lock()
    with ExitStack() as opened:
        stream = opened.enter_context(
            (windows[-1].folder / name / REVIVED).open("w", encoding="utf-8", errors="backslashreplace")
        )
        snapshots = [opened.enter_context(w.records(name)) for w in windows if name in w.stores]
        # A collection that was unreadable before cannot be accounted for now.
        names = [key for key in (*snapshots[-1].collections("before"), *sorted(now)) if key not in unknown]

        def accounted(collection: str) -> RecordFates:
            def came_back(record: RecordHash) -> None:
                line = {"collection": collection, "key": record.key, "hash": f"{record.hash:x}"}
                with writing:
                    stream.write(f"{json.dumps(line, ensure_ascii=False)}\n")

            with open_reader(name, profile, engine) as content:
                pace, there = pace_of(profile), collection in now
                return _account(collection, content, pace, index, snapshots, came_back, limit, there=there)

        total = RecordFates(unknown=unknown)
        workers = profile.load.connections
        for account in each(accounted, dict.fromkeys(names), workers=workers, name="accounting").values():
            total += account
    return total


def _account(
    collection: str,
    content: Reader,
    pace: Pace,
    index: Snapshot | None,
    windows: Sequence[Snapshot],
    came_back: Callable[[RecordHash], None],
    limit: Deadline,
    *,
    there: bool,
) -> RecordFates:
    """Account for one collection, as it was in the last of `windows`; `there` says whether it exists now."""
    parts = windows[-1].parts(collection, "before")
    kept = index.parts(collection) if index is not None else []
    division, same = division_now(content, collection, parts, pace) if there else ((), frozenset())

    def held() -> Iterator[RecordHash]:
        for part in parts:
            if part.number in same:
                continue
            # Of a part that was as the index has it, the records are only there.
            if index is not None and kept[part.number : part.number + 1] == [part]:
                yield from index.records(collection, part.number)
            else:
                yield from windows[-1].records(collection, part.number, "before")

    def now() -> Iterator[RecordHash]:
        others = [number for number in range(len(division)) if number not in same]
        for _, records in read_parts(content, collection, division, others, pace):
            require_time(limit, f"account for the records of {collection}")
            yield from records

    require_time(limit, f"account for the records of {collection}")
    exported = chain.from_iterable(window.records(collection, None, "exported") for window in windows)
    account = account_for(collection, held(), now(), exported, came_back)
    account.kept += sum(parts[number].digest.records for number in same)
    return account


def account_for(
    collection: str,
    before: Iterable[RecordHash],
    now: Iterable[RecordHash],
    exported: Iterable[RecordHash],
    came_back: Callable[[RecordHash], None],
) -> RecordFates:
    """Return what became of the records `before` a restore, given those of `now` and the `exported` ones."""
    account = RecordFates()

    def gone() -> Iterator[RecordHash]:
        for found in differences(before, now):
            account.kept += found.same
            if found.same or found.gone:
                account.restored += len(found.come)
            else:
                account.revived += len(found.come)
                for record in found.come:
                    came_back(record)
            yield from found.gone

    for lost in differences(gone(), exported):
        account.exported += lost.same
        for record in lost.gone:
            if record.expires is not None and record.expires <= time.time():
                account.expired += 1
            else:
                account.unaccounted += 1
                account.first.add(f"{collection} {record.key}")
    return account
