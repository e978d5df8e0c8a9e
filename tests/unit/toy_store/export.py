"""A folder of files, export: the bytes of each file."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from tests.unit.toy_store.content import Content, permissions


class Export(Content):
    """Reads whole files. See `RecordExport`."""

    def export(self, selection: Selection, _folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the files of `wanted`."""
        for part, records in selection.wanted.items():
            for path in self.in_part(selection.collection, selection.division, part):
                record = self.record(selection.collection, path)
                if (record.key, record.hash) not in records:
                    continue
                content, mode = path.read_bytes(), permissions(path)
                encoded = base64.b64encode(content).decode()
                shown: Json = content.decode() if content.isascii() else {"base64": encoded}
                shown = {"content": shown, "permissions": mode}
                yield ExportedRecord(record.key, record.hash, shown, encoded)
