"""Milvus's export: whole entities, and the rows that write them again."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pymilvus import DataType

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.milvus.content import Content
from rollproof.stores.milvus.table import Entities, packed_vector
from rollproof.stores.policy import excluded_of
from rollproof.stores.vectors import exported_by_key

SPARSE = frozenset({DataType.SPARSE_FLOAT_VECTOR})
PACKED = frozenset({DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR})


class Export(Content):
    """Reads whole entities as the reader, who sees all hashed data, vectors included, and can change nothing.

    See `RecordExport`. Milvus does not accept primary keys that it generated itself. So with automatic keys
    an entity that is put back gets a new one. It is put back into the default partition.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted entities, requested by primary key."""
        entities = self._whole(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = entities.whole([entities.key(key) for key in keys])
            return [entities.exported(row) for row in rows]

        yield from exported_by_key(selection, read, pace)

    def _whole(self, collection: str) -> WholeEntities:
        return WholeEntities(self._reach, self._client(), collection, excluded_of(self._profile, collection))


class WholeEntities(Entities):
    """Entities that are exported whole, and put back."""

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

    def exported(self, row: Mapping[str, Any]) -> ExportedRecord:
        """Return the exported record for an entity read by `whole`."""
        hashed = self.hashed(row)
        content: dict[str, Json] = {name: _plain(value) for name, value in row.items()}
        for name in self.names(PACKED):
            if row[name] is not None:
                content[name] = {"base64": b64encode(packed_vector(row[name])).decode()}
        return ExportedRecord(str(hashed.key), hashed.hash, content)

    def row(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row that the server takes for an exported record's content."""
        row = {name: value for name, value in content.items() if name not in self._made}
        present = {name for name, value in row.items() if value is not None}
        row |= {name: b64decode(row[name]["base64"]) for name in present.intersection(self.names(PACKED))}
        for name in present.intersection(self.names(SPARSE)):
            row[name] = {int(index): value for index, value in row[name].items()}
        return row


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the client gives
    """Return a value as JSON: a numpy array as a list, a sparse vector's indices as texts."""
    if hasattr(value, "tolist"):
        listed: Json = value.tolist()
        return listed
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return value  # type: ignore[no-any-return]
