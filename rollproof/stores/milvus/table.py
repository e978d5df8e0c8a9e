"""A Milvus collection's entities, by primary key: read in blocks, hashed field by field."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
from pymilvus import DataType, FunctionType, MilvusClient
from pymilvus.exceptions import MilvusException

from rollproof.collection import Json
from rollproof.stores.canonical import hash_of_record, hashes_of_fields
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.milvus.client import Milvus, literal
from rollproof.stores.vectors import Hashed, float_bytes, json_bytes, sparse_bytes

# The server's maximum for a query's limit.
MOST = 16_384
DYNAMIC = "$meta"
_PACKED = (DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR)

Key = int | str
Encode = Callable[[Any], bytes]


def _float_vector(value: Any) -> bytes:  # noqa: ANN401 - a list, or an array of numpy's
    return value.astype("<f4").tobytes() if hasattr(value, "astype") else float_bytes(value)


def _packed_vector(value: Any) -> bytes:  # noqa: ANN401 - the client gives bytes, or a list of one
    return value if isinstance(value, bytes) else b"".join(bytes(each) for each in value)


_NUMBERS = (DataType.BOOL, DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64)
_ENCODERS: dict[DataType, Encode] = {
    **dict.fromkeys(_NUMBERS, lambda value: str(value).encode()),
    DataType.FLOAT: lambda value: float_bytes([value]),
    DataType.DOUBLE: lambda value: float_bytes([value], "d"),
    DataType.VARCHAR: str.encode,
    DataType.JSON: json_bytes,
    DataType.FLOAT_VECTOR: _float_vector,
    DataType.SPARSE_FLOAT_VECTOR: sparse_bytes,
    **dict.fromkeys(_PACKED, _packed_vector),
}


class Entities:
    """One collection by its current description. A `Table`: its methods may be called side by side.

    Every read sees at least all data written before this object was made: the server was then asked for its
    clock. Strong consistency would have the same effect, but cost one tick of the clock, 0.2 s, each time.
    """

    def __init__(self, milvus: Milvus, collection: str, excluded: frozenset[str] = frozenset()) -> None:
        """Ask for the description and the server's clock; raises `Unverifiable`."""
        self._milvus = milvus
        self.reach = milvus.reach
        self.collection = collection
        self._excluded = excluded
        described = milvus.described(collection)
        with milvus.asked("the server's clock") as client:
            self.moment = _moment(client, self.reach.deadline)
        self.fields: Sequence[Mapping[str, Any]] = described["fields"]
        # What a function BM25 makes of a text, the server gives to nobody.
        self._withheld = frozenset(
            name
            for function in described.get("functions") or ()
            if function["type"] == FunctionType.BM25
            for name in function["output_field_names"]
        )
        key = next(field for field in self.fields if field.get("is_primary"))
        self.primary: str = key["name"]
        self.automatic = bool(key.get("auto_id"))
        self._textual = key["type"] == DataType.VARCHAR
        self._dynamic = bool(described.get("enable_dynamic_field"))
        self._declared = frozenset(field["name"] for field in self.fields)
        self._encoders = {
            field["name"]: (_title(field), self._encoder(field))
            for field in sorted(self.fields, key=lambda field: str(field["name"]))
            if field["name"] not in excluded | self._withheld and field["name"] != self.primary
        }

    @property
    def vector(self) -> str | None:
        """The first field of type FLOAT_VECTOR, or None."""
        return next(iter(self._names(DataType.FLOAT_VECTOR)), None)

    def key(self, bound: str) -> Key:
        """Return the primary key for a division's text."""
        return bound if self._textual else int(bound)

    def keys(self) -> Iterator[str]:
        """Yield every primary key as text, in their order; text keys are ordered by their bytes."""
        after: Key | None = None
        while rows := self.read([self.primary], after, None, None, MOST):
            for row in rows:
                after = row[self.primary]
                yield str(after)

    def block(
        self, after: Key | None, begin: Key | None, end: Key | None, limit: int
    ) -> Sequence[dict[str, Any]]:
        """Return entities with all hashed fields. See `Table`."""
        names = [self.primary, *self._encoders, *([DYNAMIC] if self._dynamic else [])]
        return self.read(names, after, begin, end, limit)

    def read(
        self, names: Sequence[str], after: Key | None, begin: Key | None, end: Key | None, limit: int
    ) -> Sequence[dict[str, Any]]:
        """Return the fields `names` of the first entities by key, at most `limit` entities."""
        return self._query(names, self._condition(after, begin, end), limit)

    def whole(self, keys: Sequence[Key]) -> Sequence[dict[str, Any]]:
        """Return the existing entities with these `keys`, with every field that the server gives."""
        names = [field["name"] for field in self.fields if field["name"] not in self._withheld]
        condition = f"{self.primary} in {literal(keys)}"
        return self._query([*names, *([DYNAMIC] if self._dynamic else [])], condition, len(keys))

    def only(self, key: str) -> str:
        """Return the condition for the entity with this key."""
        return f"{self.primary} in {literal([self.key(key)])}"

    def others(self, keys: Sequence[str]) -> str:
        """Return the condition for entities with other keys."""
        return f"{self.primary} not in {literal([self.key(key) for key in keys])}" if keys else ""

    def hashed(self, row: Mapping[str, Any]) -> Hashed:
        """Return an entity's key, hash and size."""
        key = row[self.primary]
        fields = {title: _encoded(row[name], encode) for name, (title, encode) in self._encoders.items()}
        if self._dynamic:
            fields[DYNAMIC] = json_bytes(self._own(row))
        kind = "text" if self._textual else "number"
        size = sum(len(content) for content in fields.values() if content is not None)
        return Hashed(key, hash_of_record(f"{kind} {key}".encode(), fields), size)

    def record(self, row: Mapping[str, Any], hashed: Hashed) -> RecordHash:
        """Return an entity's record and field hashes; dynamic fields have their own names."""
        fields = {name: _encoded(row[name], encode) for name, (_, encode) in self._encoders.items()}
        fields |= {name: json_bytes(value) for name, value in self._own(row).items()}
        return RecordHash(str(hashed.key), hashed.hash, hashes_of_fields(fields))

    def exported(self, row: Mapping[str, Any]) -> ExportedRecord:
        """Return the exported record for an entity read by `whole`."""
        hashed = self.hashed(row)
        content: dict[str, Json] = {name: _plain(value) for name, value in row.items()}
        for name in self._names(*_PACKED):
            if row[name] is not None:
                content[name] = {"base64": b64encode(_packed_vector(row[name])).decode()}
        return ExportedRecord(str(hashed.key), hashed.hash, content)

    def row(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row that the server takes for an exported record's content."""
        made = {field["name"] for field in self.fields if field.get("is_function_output")}
        made |= {self.primary} if self.automatic else set()
        row = {name: value for name, value in content.items() if name not in made}
        for name in self._names(*_PACKED, DataType.SPARSE_FLOAT_VECTOR):
            value = row.get(name)
            if value is not None:
                packed = "base64" in value
                row[name] = b64decode(value["base64"]) if packed else {int(i): v for i, v in value.items()}
        return row

    def _names(self, *kinds: DataType) -> list[str]:
        """Return the names of the fields of these types."""
        return [field["name"] for field in self.fields if field["type"] in kinds]

    def _own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entity's dynamic fields, which are not in the schema."""
        if not self._dynamic:
            return {}
        return {
            name: value
            for name, value in row.items()
            if name not in self._declared and name not in self._excluded
        }

    def _query(self, names: Sequence[str], condition: str, limit: int) -> Sequence[dict[str, Any]]:
        with self._milvus.asked(f"entities of {self.collection}") as client:
            found = client.query(
                self.collection,
                filter=condition,
                output_fields=list(names),
                limit=min(limit, MOST),
                timeout=self.reach.deadline,
                # Vectors come as numpy arrays, which are hashed without a Python object for each number.
                strict_float32=True,
                **self.moment,
            )
            return sorted(found, key=lambda row: row[self.primary])

    def _condition(self, after: Key | None, begin: Key | None, end: Key | None) -> str:
        parts = []
        if after is not None:
            parts.append(f"{self.primary} > {literal(after)}")
        elif begin is not None:
            parts.append(f"{self.primary} >= {literal(begin)}")
        if end is not None:
            parts.append(f"{self.primary} < {literal(end)}")
        return " and ".join(parts)

    def _encoder(self, field: Mapping[str, Any]) -> Encode:
        kind = field["type"]
        if kind == DataType.ARRAY:
            size = {DataType.FLOAT: "f", DataType.DOUBLE: "d"}.get(field["element_type"])
            return (lambda value: float_bytes(value, size)) if size else json_bytes
        if kind not in _ENCODERS:
            raise self.reach.failed(
                f"{field['name']} of type {DataType(kind).name}",
                expected=f"fields in {self.collection} whose types can be hashed",
                hint="exclude this field in the profile: its values are then compared by nothing",
            )
        return _ENCODERS[kind]


def _encoded(value: Any, encode: Encode) -> bytes | None:  # noqa: ANN401 - whatever the client gives
    return None if value is None else encode(value)


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the client gives
    """Return a value as JSON: a numpy array as a list, a sparse vector's indices as texts."""
    if hasattr(value, "tolist"):
        listed: Json = value.tolist()
        return listed
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return value  # type: ignore[no-any-return]


def _title(field: Mapping[str, Any]) -> str:
    """Return a field's name and type for a record's hash, such as ``tags ARRAY of VARCHAR``."""
    element = field.get("element_type")
    of = f" of {DataType(element).name}" if element else ""
    return f"{field['name']} {DataType(field['type']).name}{of}"


def _moment(client: MilvusClient, seconds: float) -> dict[str, Any]:
    """Return the options for queries that see all data written until now, by the server's clock."""
    try:
        now = client._get_connection().alloc_timestamp(timeout=seconds)  # noqa: SLF001 - has no public way
    except (AttributeError, MilvusException, grpc.RpcError):
        # An old server does not tell its clock. Any other cause shows in the next query.
        return {"consistency_level": "Strong"}
    return {"consistency_level": "Customized", "guarantee_timestamp": now}
