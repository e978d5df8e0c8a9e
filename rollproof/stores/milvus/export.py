"""Milvus's export: whole entities, each in a request that writes it again."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import orjson
from pymilvus import DataType

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.milvus.content import Content
from rollproof.stores.milvus.table import Entities, packed_vector
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import NOBODY
from rollproof.stores.vectors import exported_by_key

PACKED = frozenset({DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR})
PASSWORD = "MILVUS_PASSWORD"  # noqa: S105 - the name of a variable
# Milvus 2.4 brought the REST interface that accepts these lines unchanged. The earlier one knows no arrays;
# the client supports every version.
REPLAY = """\
import base64, json, os, sys
from pymilvus import MilvusClient

client = MilvusClient({options}, password={password}, timeout=60)
for line in sys.stdin:
    body = json.loads(line)
    for row in body["data"]:
        given = {{name: value for name, value in row.items() if value is not None}}
        row |= {{name: base64.b64decode(given[name]) for name in given.keys() & {packed}}}
        row |= {{name: {{int(i): x for i, x in given[name].items()}} for name in given.keys() & {sparse}}}
    client.{method}(body["collectionName"], body["data"], timeout=60)
"""


class Export(Content):
    """Reads whole entities as the reader, who sees all hashed data, vectors included, and can change nothing.

    See `RecordExport`. Milvus does not accept primary keys that it generated itself. So with automatic keys a
    line has no key, and a replayed entity gets a new one. A line does not name the entity's partition either:
    the entity is replayed into the default partition.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a short program that stops at the first refused entity."""
        entities = self._whole(collection)
        account = self._profile.operator or NOBODY
        options = {
            "uri": self._reach.url,
            "user": account.user,
            "db_name": self._profile.database,
            **({"server_pem_path": str(self._reach.endpoint.ca)} if self._reach.endpoint.ca else {}),
        }
        program = REPLAY.format(
            options=", ".join(f"{name}={value!r}" for name, value in options.items()),
            password=f'os.environ["{PASSWORD}"]' if self._profile.operator else "''",
            packed=entities.names(PACKED),
            sparse=entities.names(frozenset({DataType.SPARSE_FLOAT_VECTOR})),
            method="insert" if entities.automatic else "upsert",
        )
        return f"{quote(sys.executable)} -c {quote(program)}"

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted entities, requested by primary key."""
        entities = self._whole(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = entities.whole([entities.key(key) for key in keys])
            return [entities.exported(row, self._profile.database) for row in rows]

        yield from exported_by_key(selection, read, pace)

    def _whole(self, collection: str) -> _Entities:
        return _Entities(self._reach, self._client(), collection, excluded_of(self._profile, collection))


class _Entities(Entities):
    """Entities that are exported whole."""

    @property
    def automatic(self) -> bool:
        """Whether Milvus generates the primary keys."""
        return any(field.get("auto_id") for field in self.fields if field.get("is_primary"))

    def names(self, kinds: frozenset[DataType]) -> list[str]:
        """Return the names of the fields of these types."""
        return [field["name"] for field in self.fields if field["type"] in kinds]

    @cached_property
    def _made(self) -> frozenset[str]:
        """The fields that the server makes itself, and takes from nobody."""
        outputs = (field["name"] for field in self.fields if field.get("is_function_output"))
        return frozenset([*outputs, *([self.primary] if self.automatic else [])])

    def exported(self, row: Mapping[str, Any], database: str) -> ExportedRecord:
        """Return the exported record for an entity of `database`, read by `whole`."""
        hashed = self.hashed(row)
        packed = {
            name: b64encode(packed_vector(row[name])).decode()
            for name in self.names(PACKED)
            if row[name] is not None
        }
        content: dict[str, Json] = {name: _plain(value) for name, value in row.items() if name not in packed}
        data = {name: value for name, value in {**content, **packed}.items() if name not in self._made}
        line = orjson.dumps({"dbName": database, "collectionName": self.collection, "data": [data]})
        for name, text in packed.items():
            content[name] = {"base64": text}
        return ExportedRecord(str(hashed.key), hashed.hash, content, line.decode())


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the client gives
    """Return a value as JSON: a numpy array as a list, a sparse vector's indices as texts."""
    if hasattr(value, "tolist"):
        listed: Json = value.tolist()
        return listed
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return value  # type: ignore[no-any-return]
