"""Qdrant, read side: counts, schemas, digests over payloads and vectors, searches, whole points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from rollproof.collection import Json
from rollproof.profile.data_formats import Marks
from rollproof.stores.canonical import hash_of_record, hashes_of_fields
from rollproof.stores.contract import LOADED, ExportedRecord, Pace, RecordHash, Selection, Unlisted
from rollproof.stores.names import Name, names_at, names_of, whole_numbers
from rollproof.stores.policy import excluded_of
from rollproof.stores.qdrant.client import Rest, path_of, point_id
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Readable
from rollproof.stores.reader import exported_by_key
from rollproof.stores.vectors import Hashed, Scanned, Searcher, float_bytes, json_bytes, sparse_bytes

# Ids read at a time for a division, and names when references are followed.
_IDS, _NAMES = 10_000, 1000
# Statuses of a collection that answers. With the status "red" it fails, at least for some points.
_SERVING = frozenset({"green", "yellow", "grey"})


class _Points:
    """One collection's points. A key is (0, number) or (1, UUID), in Qdrant's order."""

    def __init__(self, rest: Rest, collection: str, excluded: frozenset[str]) -> None:
        self.reach = rest.reach
        self.collection = collection
        self._rest = rest
        self._excluded = excluded

    def key(self, bound: str) -> tuple[int, int]:
        return (0, int(bound)) if bound.isdecimal() else (1, UUID(bound).int)

    def keys(self) -> Iterator[str]:
        request = {"limit": _IDS, "with_payload": False, "with_vector": False}
        return (str(point["id"]) for point in self._rest.scrolled(self.collection, request))

    def block(
        self, after: tuple[int, int] | None, begin: tuple[int, int] | None, end: object, limit: int
    ) -> Sequence[Any]:
        if after is not None and (begin := _following(after)) is None:
            return ()
        offset = {} if begin is None else {"offset": _id(begin)}
        request = {"limit": limit, "with_payload": True, "with_vector": True, **offset}
        return list(self._rest.scroll(self.collection, request)["points"])

    def hashed(self, row: Any) -> Hashed:  # noqa: ANN401 - JSON
        number = row["id"]
        payload, vectors = row.get("payload") or {}, _named(row.get("vector"))
        if self._excluded:
            payload, vectors = self._included(payload, vectors)
        fields = {"payload": json_bytes(payload)}
        for name, vector in sorted(vectors.items()) if len(vectors) > 1 else vectors.items():
            fields[f"vector {name}"] = _vector_bytes(vector)
        size = sum(map(len, fields.values()))
        if isinstance(number, int):
            return Hashed((0, number), hash_of_record(b"number %d" % number, fields), size)
        return Hashed((1, UUID(number).int), hash_of_record(b"UUID " + number.lower().encode(), fields), size)

    def record(self, row: Any, hashed: Hashed) -> RecordHash:  # noqa: ANN401 - JSON
        payload, vectors = self._included(row.get("payload") or {}, _named(row.get("vector")))
        fields = {name: json_bytes(value) for name, value in payload.items()}
        fields |= {_field(name): _vector_bytes(vector) for name, vector in vectors.items()}
        return RecordHash(str(row["id"]), hashed.hash, hashes_of_fields(fields))

    def _included(
        self, payload: Mapping[str, Any], vectors: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            {name: value for name, value in payload.items() if name not in self._excluded},
            {name: value for name, value in vectors.items() if _field(name) not in self._excluded},
        )


class QdrantReader(Scanned):
    """Reads one Qdrant.

    A field is a payload's key, or a vector: ``vector`` if it has no name, else ``vector NAME``. The reader's
    key sees all hashed data, vectors included, and can change nothing.
    """

    _profile: QdrantProfile

    counted_by = "exact count of points"
    blind_spots: tuple[str, ...] = (
        "a vector is what Qdrant stores: for the distance Cosine that is normalised, its length is not there",
        "floats that are not a number or are infinite are null in Qdrant's answers, and so the same",
        "a point without payload and one with an empty payload are the same",
        "a part that takes several requests is not of one moment, and of replicas one is read",
        "an index (HNSW) that is not built, or not yet: searches are slower then, and find as much",
        "shard keys, and where shards and their replicas lie, are not compared",
        "vectors that are all sparse are not searched",
    )

    def __init__(self, readable: Readable[QdrantProfile]) -> None:
        """Keep the store's address; the first question makes the client."""
        super().__init__(readable)
        self._rest = Rest(self._reach)

    def close(self) -> None:
        """Close the client."""
        self._rest.close()

    def server(self) -> str:
        """Return the server's name and version."""
        return f"Qdrant {self._rest.version()}"

    def marks(self) -> Marks:
        """Return the server's version."""
        return {"server": self._rest.version()}

    def collections(self) -> Sequence[str]:
        """Return the collections."""
        return self._rest.collections(self._profile.collections)

    def count(self, collection: str) -> int:
        """Return the exact number of points of one collection."""
        return self._rest.count(collection)

    def load_state(self, collection: str) -> str:
        """Return whether the collection serves, else Qdrant's status for it."""
        status = str(self._rest.call("GET", path_of(collection))["status"])
        return LOADED if status in _SERVING else status

    def search(self, collection: str, limit: int = 5) -> Sequence[str] | None:
        """Search for the vector of the point with the smallest id; return None if the collection is empty."""
        request = {"limit": 1, "with_vector": True, "with_payload": False}
        points = self._rest.scroll(collection, request)["points"]
        if not points:
            return None
        vectors = _named(points[0].get("vector"))
        if not vectors:
            raise self._reach.failed(
                f"point {points[0]['id']} without one",
                expected=f"a vector in {collection}",
                hint="leave this collection out of the profile's `collections` if it holds payloads only",
            )
        # Any named vector will do.
        using, vector = next(iter(sorted(vectors.items())))
        return [key for key, _ in self._rest.nearest(collection, vector, limit, using=using)]

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the names in payloads of all points, read in blocks of `NAMES`."""
        chosen = [{"key": name, "match": {"value": value}} for name, value in where.items()]
        for payload in self._payloads(collection, fields, chosen):
            yield from names_of(payload, fields)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that points' payload fields hold; the first field has texts or whole numbers."""
        texts, wanted = sorted({name[0] for name in names}), set(names)
        found = set[Name]()
        for values in filter(None, (texts, whole_numbers(texts))):
            chosen = [{"key": fields[0], "match": {"any": values}}]
            for payload in self._payloads(collection, fields, chosen):
                found |= wanted.intersection(names_at(payload, fields))
        return found

    def _payloads(
        self, collection: str, fields: Sequence[str], chosen: list[dict[str, Any]]
    ) -> Iterator[Mapping[str, Any]]:
        request = {"limit": _NAMES, "with_payload": list(fields), "filter": {"must": chosen}}
        return (point.get("payload") or {} for point in self._rest.scrolled(collection, request))

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's configuration and payload indexes, and each alias's collection."""
        names = self.collections()
        found: dict[str, Json] = {name: self._schema(name) for name in names}
        found |= {f"alias {alias}": name for alias, name in self._rest.aliases().items() if name in names}
        return dict(sorted(found.items()))

    def unlisted(self) -> Unlisted:
        """Return the collections that the profile does not list."""
        others = {*self._rest.collections(["*"])} - {*self.collections()}
        return Unlisted(outside=tuple(f"collection {name}" for name in sorted(others)))

    def _vectors(self, collection: str, bounds: Sequence[str]) -> Iterator[Sequence[float]]:
        """Yield the first dense vector by name, and of a multivector its first vector."""
        using, points = self._searched(collection), self._table(collection)
        if using is None:
            return
        for bound in bounds:
            for row in points.block(None, points.key(bound) if bound else None, None, 1):
                if vector := _named(row.get("vector")).get(using):
                    yield vector[0] if isinstance(vector[0], list) else vector

    def _searcher(self, collection: str) -> Searcher:
        return partial(self._rest.nearest, collection, using=self._searched(collection) or "")

    def _schema(self, collection: str) -> Json:
        config, indexes = self._rest.described(collection)
        schema: Json = _given({**config, "payload_indexes": indexes})
        return schema

    def _table(self, collection: str) -> _Points:
        return _Points(self._rest, collection, excluded_of(self._profile, collection))

    def _searched(self, collection: str) -> str | None:
        """Return the name, maybe "", of the dense vector that is searched, or None."""
        return next(iter(sorted(self._rest.dense_vectors(collection))), None)

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted points, requested by id."""
        points = self._table(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            request = {"ids": [*map(point_id, keys)], "with_payload": True, "with_vector": True}
            rows = self._rest.call("POST", f"{path_of(selection.collection)}/points", request)
            return [_exported(row, points.hashed(row).hash) for row in rows]

        yield from exported_by_key(selection, read, pace)


def _id(key: tuple[int, int]) -> int | str:
    return key[1] if key[0] == 0 else str(UUID(int=key[1]))


def _following(key: tuple[int, int]) -> tuple[int, int] | None:
    """Return the next key, or None after the last possible."""
    kind, number = key
    if number < (2**64 - 1, 2**128 - 1)[kind]:
        return kind, number + 1
    return (1, 0) if kind == 0 else None


def _field(vector: str) -> str:
    return f"vector {vector}" if vector else "vector"


def _named(vector: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a point's vectors by name; an unnamed vector has the name ""."""
    if isinstance(vector, dict):
        return vector
    return {"": vector} if vector else {}


def _vector_bytes(vector: Any) -> bytes:  # noqa: ANN401 - JSON
    if isinstance(vector, dict):
        return b"sparse" + sparse_bytes(dict(zip(vector["indices"], vector["values"], strict=True)))
    if vector and isinstance(vector[0], list):
        lengths = ",".join(str(len(each)) for each in vector)
        return b"".join((b"multi ", lengths.encode(), b" ", *(float_bytes(each) for each in vector)))
    return b"dense" + float_bytes(vector)


def _given(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON without null members of objects: Qdrant treats them as absent."""
    if isinstance(value, dict):
        return {name: _given(each) for name, each in sorted(value.items()) if each is not None}
    return [_given(each) for each in value] if isinstance(value, list) else value


def _exported(row: Mapping[str, Any], hashed: int) -> ExportedRecord:
    # A point need not have a vector, but a request must have the field.
    point = {"id": row["id"], "vector": row.get("vector") or {}, "payload": row.get("payload") or {}}
    return ExportedRecord(str(row["id"]), hashed, point)
