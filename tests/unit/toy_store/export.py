"""A folder of files, export: a file is a line of JSON, which a small program writes again."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from tests.unit.toy_store.content import Content, permissions

REPLAY = """
import base64, json, pathlib, sys
for line in sys.stdin:
    file = json.loads(line)
    path = pathlib.Path({folder!r}, file["name"])
    path.write_bytes(base64.b64decode(file["base64"]))
    path.chmod(int(file["permissions"], 8))
"""


class Export(Content):
    """Reads whole files. See `RecordExport`."""

    def how_to_replay(self, collection: str) -> str:
        """Return a program of few lines."""
        program = REPLAY.format(folder=str(self._profile.folder / collection))
        return f"{quote(sys.executable)} -c {quote(program)}"

    def export(self, selection: Selection, _folder: Path, _pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the files of `wanted`."""
        for part, records in selection.wanted.items():
            for path in self.in_part(selection.collection, selection.division, part):
                record = self.record(selection.collection, path)
                if (record.key, record.hash) not in records:
                    continue
                content, mode = path.read_bytes(), permissions(path)
                encoded = base64.b64encode(content).decode()
                line = json.dumps({"name": path.name, "base64": encoded, "permissions": mode})
                shown: Json = content.decode() if content.isascii() else {"base64": encoded}
                yield ExportedRecord(record.key, record.hash, {"content": shown, "permissions": mode}, line)
