"""Qdrant's content: schemas, digests over payloads and vectors, and golden queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from rollproof.collection import Json
from rollproof.stores.contract import Beside, Neighbours, RecordHash
from rollproof.stores.policy import excluded_of
from rollproof.stores.qdrant.view import QdrantReader, Rest, path_of
from rollproof.stores.vectors import (
    Hashed,
    Scanned,
    field_hash,
    float_bytes,
    json_bytes,
    ranked,
    record_hash,
    sparse_bytes,
)

# Ids read at a time for a division.
IDS = 10_000


class Content(QdrantReader, Scanned):
    """Reads the content of one Qdrant. See `SearchableContent`.

    A field is a payload's key, or a vector: ``vector`` if it has no name, else ``vector NAME``.
    """

    blind_spots: tuple[str, ...] = (
        "a vector is what Qdrant stores: for the distance Cosine that is normalised, its length is not there",
        "floats that are not a number or are infinite are null in Qdrant's answers, and so the same",
        "a point without payload and one with an empty payload are the same",
        "a part that takes several requests is not of one moment, and of replicas one is read",
        "golden queries are exact: they do not use the graph (HNSW), whose damage only approximate ones show",
        "shard keys, and where shards and their replicas lie, are not compared",
        "vectors that are all sparse have no golden queries",
    )

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's configuration and payload indexes, and each alias's collection."""
        names = self._rest.collections(self._profile.collections)
        found: dict[str, Json] = {name: self._schema(name) for name in names}
        found |= {f"alias {alias}": name for alias, name in self._rest.aliases().items() if name in names}
        return dict(sorted(found.items()))

    def beside(self) -> Beside:
        """Return the collections that the profile does not list. See `SharedContent`."""
        others = {*self._rest.collections(["*"])} - {*self._rest.collections(self._profile.collections)}
        return Beside(outside=tuple(f"collection {name}" for name in sorted(others)))

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division by id: numbers first, then UUIDs."""
        return _division(self._ids(collection), records)

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        """Return exact searches for the vectors of points at equal distances in the order of ids.

        With named vectors, the first dense one by name is used; with a multivector, its first vector.
        """
        using, count = self._searched(collection), self._rest.count(collection)
        if using is None or not count:
            return ()
        points = self._table(collection)
        found = []
        for bound in _division(self._ids(collection), -(-count // queries))[:queries]:
            rows = points.block(None, points.key(bound) if bound else None, None, 1)
            vector = _named(rows[0].get("vector")).get(using) if rows else None
            if vector:
                vector = vector[0] if isinstance(vector[0], list) else vector
                found.append(self._search(collection, using, vector, limit))
        return tuple(found)

    def search_again(self, collection: str, golden: Sequence[Neighbours]) -> tuple[Neighbours, ...]:
        """Repeat the search of each golden query, with as many hits as it had."""
        using = self._searched(collection) or ""
        return tuple(
            self._search(collection, using, query.vector, max(1, len(query.keys))) for query in golden
        )

    def _schema(self, collection: str) -> Json:
        config, indexes = self._rest.described(collection)
        schema: Json = _given({**config, "payload_indexes": indexes})
        return schema

    def _ids(self, collection: str) -> Iterator[int | str]:
        """Yield the ids of all points, in order."""
        request = {"limit": IDS, "with_payload": False, "with_vector": False}
        return (point["id"] for point in self._rest.scrolled(collection, request))

    def _table(self, collection: str) -> _Points:
        return _Points(self._rest, collection, excluded_of(self._profile, collection))

    def _searched(self, collection: str) -> str | None:
        """Return the name, maybe "", of the dense vector that golden queries search, or None."""
        return next(iter(sorted(self._rest.dense_vectors(collection))), None)

    def _search(self, collection: str, using: str, vector: Sequence[float], limit: int) -> Neighbours:
        request: dict[str, Any] = {
            "query": list(vector),
            "limit": limit,
            "with_payload": False,
            "params": {"exact": True},
        }
        if using:
            request["using"] = using
        hits = self._rest.call("POST", f"{path_of(collection)}/points/query", request)["points"]
        return ranked(vector, [(str(hit["id"]), float(hit["score"])) for hit in hits])


class _Points:
    """One collection's points. A key is (0, number) or (1, UUID), in Qdrant's order."""

    def __init__(self, rest: Rest, collection: str, excluded: frozenset[str]) -> None:
        self._rest = rest
        self._collection = collection
        self._excluded = excluded

    def key(self, bound: str) -> tuple[int, int]:
        return (0, int(bound)) if bound.isdecimal() else (1, UUID(bound).int)

    def block(
        self, after: tuple[int, int] | None, begin: tuple[int, int] | None, end: object, limit: int
    ) -> Sequence[Any]:
        request: dict[str, Any] = {"limit": limit, "with_payload": True, "with_vector": True}
        if after is not None:
            following = _following(after)
            if following is None:
                return ()
            begin = following
        if begin is not None:
            request["offset"] = _id(begin)
        points: Sequence[Any] = self._rest.call(
            "POST", f"{path_of(self._collection)}/points/scroll", request
        )["points"]
        return points

    def hashed(self, row: Any) -> Hashed:  # noqa: ANN401 - JSON
        number = row["id"]
        payload, vectors = row.get("payload") or {}, _named(row.get("vector"))
        if self._excluded:
            payload, vectors = self._included(payload, vectors)
        content = json_bytes(payload)
        parts, size = [("payload", content)], len(content)
        for name, vector in sorted(vectors.items()) if len(vectors) > 1 else vectors.items():
            content = _vector_bytes(vector)
            size += len(content)
            parts.append((f"vector {name}", content))
        if isinstance(number, int):
            return Hashed((0, number), record_hash(f"number {number}", parts), size)
        return Hashed((1, UUID(number).int), record_hash(f"UUID {number.lower()}", parts), size)

    def record(self, row: Any, hashed: Hashed) -> RecordHash:  # noqa: ANN401 - JSON
        payload, vectors = self._included(row.get("payload") or {}, _named(row.get("vector")))
        fields = {name: field_hash(json_bytes(value)) for name, value in payload.items()}
        for name, vector in vectors.items():
            fields[_field(name)] = field_hash(_vector_bytes(vector))
        return RecordHash(key=str(row["id"]), hash=hashed.hash, fields=fields)

    def disordered(self, key: tuple[int, int], after: tuple[int, int]) -> Exception:
        return self._rest.reach.failed(
            f"{_id(key)} after {_id(after)}",
            expected=f"the points of {self._collection} in the order of their ids",
            hint="this version of Qdrant scrolls in another order than this reader knows",
        )

    def _included(
        self, payload: Mapping[str, Any], vectors: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            {name: value for name, value in payload.items() if name not in self._excluded},
            {name: value for name, value in vectors.items() if _field(name) not in self._excluded},
        )


def _id(key: tuple[int, int]) -> int | str:
    return key[1] if key[0] == 0 else str(UUID(int=key[1]))


def _following(key: tuple[int, int]) -> tuple[int, int] | None:
    """Return the next key, or None after the last possible."""
    kind, number = key
    if number < (2**64 - 1, 2**128 - 1)[kind]:
        return kind, number + 1
    return (1, 0) if kind == 0 else None


def _division(ids: Iterator[int | str], records: int) -> tuple[str, ...]:
    first = next(ids, None)
    bounds = [] if first is None else [str(each) for place, each in enumerate(ids, 1) if place % records == 0]
    return ("", *bounds)


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
