"""MongoDB, export: whole documents, with their bytes."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import bson
from bson import json_util
from bson.json_util import JSONMode, JSONOptions

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.mongodb.bson import LENIENT, hashes, record_key
from rollproof.stores.mongodb.content import Content

_RELAXED = JSONOptions(json_mode=JSONMode.RELAXED)


class Export(Content):
    """The export of a MongoDB server. See `RecordExport`.

    It reads as the reader, like the digests that select the records: that account sees every document, and
    cannot change any. Exported documents are replayed as the operator.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted documents, including the fields that digests leave out."""
        with self._scan(selection.collection, selection.division, pace) as scan:
            for part, records in selection.wanted.items():
                for documents in self._documents(scan, part):
                    for document, value in zip(documents, hashes(scan.canonical(documents)), strict=True):
                        key = record_key(document)
                        if (key, value) in records:
                            # As bytes: extended JSON cannot express every document exactly.
                            whole = b64encode(document).decode()
                            yield ExportedRecord(key, value, _readable(document), whole)


def _readable(document: bytes) -> Json:
    """Return a document as relaxed extended JSON: most values as people know them, others with their type."""
    found: Json = json.loads(json_util.dumps(bson.decode(document, LENIENT), json_options=_RELAXED))
    return found
