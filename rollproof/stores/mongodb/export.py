"""MongoDB, export: whole documents, as canonical extended JSON, which keeps every type."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128, ObjectId, json_util
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions

from rollproof.collection import Json
from rollproof.stores.canonical import bytes_json, number_json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.mongodb.bson import CANONICAL, DOCUMENT, LENIENT, Element, hashes, joined, record_key
from rollproof.stores.mongodb.content import Content
from rollproof.system.files import write_whole

_RELAXED = JSONOptions(json_mode=JSONMode.RELAXED)


class Export(Content):
    """The export of a MongoDB server. See `RecordExport`.

    It reads as the reader, like the digests that select the records: that account sees every document, and
    cannot change any. Exported documents are replayed as the operator.

    Extended JSON cannot express every document exactly: names may begin with ``$`` or occur twice, or a type
    may be deprecated. Such a document has no line. Its bytes are in a file, which `content` names and
    ``mongorestore`` reads.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return the command; ``PASSWORD_FILE`` holds a line ``password: …``."""
        with self._connected() as client:
            # A time series' records have no key for an upsert.
            series = self._described(client, collection).time_field is not None
        database, _, name = collection.partition(".")
        endpoint = self._reach.endpoint
        tls = ["--ssl", *([f"--sslCAFile={endpoint.ca}"] if endpoint.ca else [])] if endpoint.tls else []
        return shlex.join(
            [
                "mongoimport",
                f"--host={endpoint.host}",
                f"--port={endpoint.port}",
                *tls,
                f"--username={self._profile.operator.user}",
                f"--authenticationDatabase={self._profile.authentication_database}",
                "--config=PASSWORD_FILE",
                f"--db={database}",
                f"--collection={name}",
                f"--mode={'insert' if series else 'upsert'}",
            ]
        )

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted documents, including the fields that digests leave out."""
        with self._scan(selection.collection, selection.division, pace) as scan:
            for part, records in selection.wanted.items():
                for documents in self._documents(scan, part):
                    for document, value in zip(documents, hashes(scan.canonical(documents)), strict=True):
                        key = record_key(document)
                        if (key, value) in records:
                            decoded = bson.decode(document, LENIENT)
                            content = _readable(decoded)
                            line = json_util.dumps(decoded, json_options=CANONICAL)
                            if not _says(line, document):
                                name = self._write(selection.collection, document, folder)
                                content, line = {"file": name, "document": content}, ""
                            yield ExportedRecord(key, value, content, line)

    def _write(self, collection: str, document: bytes, folder: Path) -> str:
        """Write a document into its own file, and return the file's name."""
        # Named by its content: a repeated export writes the same file.
        name = blake2b(collection.encode() + b"\0" + document, digest_size=16).hexdigest() + ".bson"
        try:
            write_whole(folder / name, document)
        except OSError as error:
            raise self._reach.failed(error) from None
        return name


def _says(line: str, document: bytes) -> bool:
    """Return True if reading `line` gives `document`, byte for byte."""
    try:
        # Inside another document: encoding a top-level one moves `_id` to the front, unlike in a time series.
        inside = {"": json_util.loads(line, json_options=CANONICAL)}
        return bson.encode(inside, codec_options=LENIENT) == joined([Element(DOCUMENT, b"", document)])
    except (BSONError, ValueError, TypeError):
        return False


def _readable(value: Any) -> Json:  # noqa: ANN401, PLR0911 - whatever a document may hold
    match value:
        case None | bool():
            return value
        case str() if type(value) is str:  # BSON code is a subclass of str
            return value
        case dict():
            return {str(name): _readable(inside) for name, inside in value.items()}
        case list():
            return [_readable(item) for item in value]
        case int():  # includes Int64
            return int(value)
        case float():
            return number_json(value)
        case bytes():  # includes Binary of any subtype
            return bytes_json(value)
        case ObjectId() | Decimal128():
            return str(value)
        case DatetimeMS():
            return _moment(value)
    found: Json = json.loads(json_util.dumps(value, json_options=_RELAXED))
    return found


def _moment(value: DatetimeMS) -> Json:
    try:
        return f"{value.as_datetime().isoformat()}Z"
    except BSONError:  # the year is outside of 1 to 9999
        return {"milliseconds since 1970": int(value)}
