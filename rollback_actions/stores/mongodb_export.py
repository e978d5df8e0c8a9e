"""MongoDB, export: whole documents, as canonical extended JSON, which keeps every type."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128, ObjectId, json_util
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions

from fixtures.stores.content import Json, Pace
from fixtures.stores.mongodb_bson import CANONICAL, DOCUMENT, LENIENT, Element, joined, record_key
from fixtures.stores.mongodb_content import Content
from fixtures.stores.mongodb_hashes import hashes
from rollback_actions.stores.export import ExportedRecord, Wanted
from rollback_actions.stores.package import create_file
from rollback_actions.stores.readable import bytes_json, number_json

_RELAXED = JSONOptions(json_mode=JSONMode.RELAXED)


class Export(Content):
    """The export of a MongoDB server. See `RecordExport`.

    It reads as the reader, like the digests that say what is wanted: that account sees every document, and
    cannot change one. What it exports is replayed as the operator.

    A document that extended JSON cannot say exactly, such as one with a name that begins with ``$``, a name
    twice, or a type of long ago, has no line. Its bytes are in a file, which `content` names and
    ``mongorestore`` takes.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return the command; ``PASSWORD_FILE`` holds a line ``password: …``."""
        with self._connected() as client:
            # A record of a time series has no key to be found by.
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

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the documents that `wanted` names, with the fields that digests leave out."""
        with self._scan(collection, division, pace) as scan:
            for part, records in wanted.items():
                for documents in self._documents(scan, part):
                    for document, value in zip(documents, hashes(scan.canonical(documents)), strict=True):
                        key = record_key(document)
                        if (key, value) in records:
                            decoded = bson.decode(document, LENIENT)
                            content = _readable(decoded)
                            line = json_util.dumps(decoded, json_options=CANONICAL)
                            if not _says(line, document):
                                name = self._write(collection, document, folder)
                                content, line = {"file": name, "document": content}, ""
                            yield ExportedRecord(key, value, content, line)

    def _write(self, collection: str, document: bytes, folder: Path) -> str:
        """Write a document into a file of its own and return its name."""
        # Named by what it holds: an export that is done again writes the same file.
        name = blake2b(collection.encode() + b"\0" + document, digest_size=16).hexdigest() + ".bson"
        try:
            (folder / name).unlink(missing_ok=True)
            with create_file(folder / name) as stream:
                stream.write(document)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._reach.failed(error) from None
        return name


def _says(line: str, document: bytes) -> bool:
    """Tell whether `line` read again is `document`, byte for byte."""
    try:
        # Inside of another: by itself a document is encoded with `_id` first, where a time series has it not.
        inside = {"": json_util.loads(line, json_options=CANONICAL)}
        return bson.encode(inside, codec_options=LENIENT) == joined([Element(DOCUMENT, b"", document)])
    except (BSONError, ValueError, TypeError):
        return False


def _readable(value: Any) -> Json:  # noqa: ANN401, PLR0911 - whatever a document may hold
    match value:
        case None | bool():
            return value
        case str() if type(value) is str:  # code is a text too
            return value
        case dict():
            return {str(name): _readable(inside) for name, inside in value.items()}
        case list():
            return [_readable(item) for item in value]
        case int():  # of 64 bits too
            return int(value)
        case float():
            return number_json(value)
        case bytes():  # of any subtype
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
    except BSONError:  # a year that has not four digits
        return {"milliseconds since 1970": int(value)}
