"""Milvus, its export: whole entities, each in a request that writes it again."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import orjson
from pymilvus import DataType

from fixtures.policy import excluded_of
from fixtures.stores.content import Json, Pace
from fixtures.stores.milvus_content import Content
from fixtures.stores.milvus_table import Entities, packed_vector
from fixtures.stores.reach import NOBODY
from rollback_actions.stores.export import ExportedRecord, Wanted
from rollback_actions.stores.vector_export import exported_by_key

PACKED = frozenset({DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR})
PASSWORD = "MILVUS_PASSWORD"  # noqa: S105 - the name of a variable
# The REST interface that takes these lines as they are came with Milvus 2.4. The one before it knows no
# arrays; the client knows every version.
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
    """Reads whole entities, as the reader: it sees what was hashed, vectors and all, and can change nothing.

    See `RecordExport`. A primary key that Milvus gave cannot be given back to it: where keys are automatic,
    a line has none, and what is replayed gets a new one. That an entity was in a partition with a name of its
    own is not in its line either: it is replayed into the default one.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a program of few lines that stops at the first entity which is refused."""
        entities = self._whole(collection)
        account = self._profile.operator or NOBODY
        endpoint = self._reach.endpoint
        options = {
            "uri": f"{'https' if endpoint.tls else 'http'}://{self._reach.address}",
            "user": account.user,
            "db_name": self._profile.database,
            **({"server_pem_path": str(endpoint.ca)} if endpoint.ca else {}),
        }
        program = REPLAY.format(
            options=", ".join(f"{name}={value!r}" for name, value in options.items()),
            password=f'os.environ["{PASSWORD}"]' if self._profile.operator else "''",
            packed=entities.names(PACKED),
            sparse=entities.names(frozenset({DataType.SPARSE_FLOAT_VECTOR})),
            method="insert" if entities.automatic else "upsert",
        )
        return f"{quote(sys.executable)} -c {quote(program)}"

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the entities of `wanted`, asked for by their primary keys."""
        entities = self._whole(collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = entities.whole([entities.key(key) for key in keys])
            return [entities.exported(row, self._profile.database) for row in rows]

        yield from exported_by_key(wanted, read, pace)

    def _whole(self, collection: str) -> _Entities:
        return _Entities(self._reach, self._client(), collection, excluded_of(self._profile, collection))


class _Entities(Entities):
    """Entities that are given away whole."""

    @property
    def automatic(self) -> bool:
        """Whether Milvus gives the primary keys."""
        return any(field.get("auto_id") for field in self.fields if field.get("is_primary"))

    def names(self, kinds: frozenset[DataType]) -> list[str]:
        """Return the names of the fields of these types."""
        return [field["name"] for field in self.fields if field["type"] in kinds]

    def exported(self, row: Mapping[str, Any], database: str) -> ExportedRecord:
        """Return an entity of `database` that was read by `whole`."""
        hashed = self.hashed(row)
        packed = {
            name: b64encode(packed_vector(row[name])).decode()
            for name in self.names(PACKED)
            if row[name] is not None
        }
        content: dict[str, Json] = {name: _plain(value) for name, value in row.items() if name not in packed}
        data = {**content, **packed}
        if self.automatic:
            del data[self.primary]
        line = orjson.dumps({"dbName": database, "collectionName": self.collection, "data": [data]})
        for name, text in packed.items():
            content[name] = {"base64": text}
        return ExportedRecord(str(hashed.key), hashed.hash, content, line.decode())


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the client gives
    """Return JSON of a value: a list for an array of numpy's, texts for the indices of a sparse vector."""
    if hasattr(value, "tolist"):
        listed: Json = value.tolist()
        return listed
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return value  # type: ignore[no-any-return]
