"""Exporting the records written since a backup into one store's folder below a lost window."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

from rollproof.backups.index import StoreIndex, every_field, standing_collections
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem
from rollproof.losses.changes import (
    Ground,
    Pair,
    Written,
    aligned,
    difference,
    ground_of,
    live_parts,
    require_time,
)
from rollproof.losses.lost_window import (
    LostWindow,
    WindowCollection,
    WindowPart,
    WindowStore,
    blocks_file,
    on_disk,
)
from rollproof.profile.profile import Target
from rollproof.stores.blocks import Counted, new_blocks, read_block, write_block
from rollproof.stores.contract import ExportedRecord, RecordExport, RecordHash, Selection
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content, open_export
from rollproof.system.command import Deadline
from rollproof.system.side_by_side import each

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def export_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    earlier: Sequence[LostWindow],
    folder: Path,
    limit: Deadline,
) -> WindowStore:
    """Export the records of store `name` missing from `index` and every `earlier` window, into `folder`.

    The folder is this store's alone.

    A collection that cannot be read within `limit`, or at all, is named in `unknown`: its damage may be the
    reason for the rollback.

    Raises:
        ActionFailed: the records could not be written.
    """
    with on_disk(folder):
        folder.mkdir(mode=0o700)
    profile = every_field(target.stores[name])
    try:
        names = standing_collections(name, profile, engine)
    except Problem as problem:
        return WindowStore(collections={}, unknown={name: problem.summary})

    def exported(numbered: tuple[int, str]) -> WindowCollection | str:
        try:
            with on_disk(folder):
                exporter = _Exporter(target, engine, name, earlier, folder, *numbered)
                return exporter.export(index, limit)
        except ActionFailed:
            raise
        except Problem as problem:
            return problem.summary

    found = each(exported, enumerate(names), workers=profile.load.connections, name="export")
    return WindowStore(
        collections={key: value for (_, key), value in found.items() if isinstance(value, WindowCollection)},
        unknown={key: value for (_, key), value in found.items() if isinstance(value, str)},
    )


class _Exporter:
    """Exports one collection into separate files."""

    def __init__(
        self,
        target: Target,
        engine: ContainerEngine,
        store: str,
        earlier: Sequence[LostWindow],
        folder: Path,
        number: int,
        collection: str,
    ) -> None:
        self._earlier = earlier
        self._profile = every_field(target.stores[store])
        self._engine, self._store, self._collection, self._folder = engine, store, collection, folder
        self._pace = pace_of(self._profile)
        self.file = f"{number:04d}-{_UNSAFE.sub('_', collection)[:80]}.jsonl"
        self._number = number
        self._now, self._exported = (folder / blocks_file(number, what) for what in ("now", "exported"))
        self._parts: dict[int, WindowPart] = {}
        self._lines, self._written = 0, Written()

    def export(self, index: StoreIndex | None, limit: Deadline) -> WindowCollection:
        """Write the differing parts and their export; return the collection's description."""
        what = f"export of {self._collection}"
        require_time(limit, what)
        with open_content(self._store, self._profile, self._engine) as content:
            ground, digests = ground_of(content, self._collection, index, self._pace)
            for part, digest in enumerate(digests):
                self._parts[part] = WindowPart(
                    bound=ground.division[part], records=digest.records, total=f"{digest.total:x}"
                )
            differing = [part for part, digest in enumerate(digests) if digest != ground.digests[part]]
            if differing:
                with (
                    new_blocks(self._now) as now,
                    new_blocks(self._exported) as exported,
                    open_export(self._store, self._profile, self._engine) as export,
                ):
                    found = live_parts(content, ground, differing, self._pace)
                    for part, records in found:
                        require_time(limit, what)
                        written = self._keep(part, records, ground, now)
                        if written:
                            self._write(export, ground, part, written, exported)
        return WindowCollection(
            number=self._number,
            parts=tuple(self._parts[part] for part in range(len(ground.division))),
            indexed=ground.index is not None,
            file=self.file if self._lines else "",
            lines=self._lines,
            new=self._written.new,
            changed=self._written.changed,
            gone=self._written.gone,
        )

    def _keep(
        self, part: int, records: Iterator[RecordHash], ground: Ground, stream: IO[bytes]
    ) -> dict[Pair, list[str]]:
        """Write the part's records to `stream`; return those to export, with one change per occurrence."""
        counted = Counted(records)
        block = write_block(stream, counted)
        stream.flush()
        size = max(counted.digest.records, ground.digests[part].records)
        written: dict[Pair, list[str]] = {}
        known = chain(
            ground.before(part),
            *(w.exported(self._store, self._collection, ground.division, part) for w in self._earlier),
        )
        for before, now in aligned(size, known, read_block(self._now, *block)):
            found = difference(before, now)
            changed = self._written.add(found)
            for record in found.written:
                change = "changed" if record.key in changed else "new"
                written.setdefault((record.key, record.hash), []).append(change)
        self._parts[part] = replace(
            self._parts[part],
            records=counted.digest.records,
            total=f"{counted.digest.total:x}",
            now=block,
        )
        return written

    def _write(
        self,
        export: RecordExport,
        ground: Ground,
        part: int,
        written: Mapping[Pair, list[str]],
        stream: IO[bytes],
    ) -> None:
        """Export a part's `written` records, and add each exported one to a block in `stream`."""
        path = self._folder / self.file
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        selection = Selection(self._collection, ground.division, {part: frozenset(written)})

        def exported(lines: IO[bytes]) -> Iterator[RecordHash]:
            for record in export.export(selection, self._folder, self._pace):
                # A table without a key may have held some of several equal rows before.
                if changes := written[record.key, record.hash]:
                    lines.write(_line(record, changes.pop()))
                    self._lines += 1
                    yield RecordHash(record.key, record.hash)

        with os.fdopen(descriptor, "ab") as lines:
            block = write_block(stream, exported(lines))
            lines.flush()
            os.fsync(lines.fileno())
        self._parts[part] = replace(self._parts[part], exported=block)


def _line(record: ExportedRecord, change: str) -> bytes:
    fields = {
        "key": record.key,
        "change": change,
        "hash": f"{record.hash:x}",
        "content": record.content,
        "replay": record.replay,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")
