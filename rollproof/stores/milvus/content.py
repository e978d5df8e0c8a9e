"""Milvus's content: schemas, digests over all fields, and golden queries. Nothing is loaded or released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Beside, Neighbours
from rollproof.stores.milvus.schema import schemas
from rollproof.stores.milvus.table import Entities
from rollproof.stores.milvus.view import (
    MilvusReader,
    connect,
    import_for_searches,
    indexes,
    listed,
    translated,
)
from rollproof.stores.policy import chosen, excluded_of
from rollproof.stores.vectors import Scanned, ranked

# The width of an approximate search: wide enough to be repeatable.
WIDTH = 512


class Content(MilvusReader, Scanned):
    """Reads the content of one Milvus database. See `SearchableContent`.

    A field is a field of the schema or, if the collection has dynamic fields, an entity's own.
    """

    kind = "milvus"
    blind_spots: tuple[str, ...] = (
        "of entities with the same primary key a query returns one, any: the others are in the count alone",
        "no query of Milvus 2.3 returns an entity whose primary key is 9223372036854775807",
        "a field that is NULL and one that holds the JSON null are the same",
        "a part that takes several requests is not of one moment, and of replicas one is read",
        "golden queries are approximate where the index is: they are asked wide enough to be repeatable",
        "in which partition an entity lies, users, roles and resource groups are not compared",
        "only a collection with a field of type FLOAT_VECTOR has golden queries",
        "sparse vectors that a function BM25 makes of a text: the server gives them to nobody",
    )

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's fields, partitions, indexes, load state, and each alias's collection."""
        names = chosen(listed(self._client(), self._reach), self._profile.collections)
        with translated(self._reach, "schemas"):
            return schemas(self._client(), names, self._reach.deadline)

    def beside(self) -> Beside:
        """Return the databases and collections that the profile does not list. See `SharedContent`.

        Databases without a collection are left out: every server has one named ``default``.
        """
        client, deadline = self._client(), self._reach.deadline
        names = listed(client, self._reach)
        others = {*names} - {*chosen(names, self._profile.collections)}
        outside, unread = [f"collection {name}" for name in sorted(others)], []
        try:
            with translated(self._reach, "a list of databases"):
                databases = sorted({*client.list_databases(timeout=deadline)} - {self._profile.database})
        except Unverifiable:  # collections were listed, so it is this alone that is refused
            databases, unread = [], ["databases of others: ListDatabases"]
        for database in databases:
            try:
                if self._holds(database):
                    outside.append(f"database {database}")
            except Unverifiable:
                unread.append(f"collections of database {database}: ShowCollections there")
        return Beside(outside=tuple(outside), unread=tuple(unread))

    def _holds(self, database: str) -> bool:
        """Return whether another database holds a collection."""
        with closing(connect(self._reach, database)) as client:
            return bool(listed(client, self._reach))

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return a division by primary key; text keys are ordered by their bytes."""
        return _division(self._table(collection), records)

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        """Return searches for the vectors of entities at equal distances in the order of keys.

        They search the schema's first field of type FLOAT_VECTOR.
        """
        entities, number = self._table(collection), self._count(collection)
        field = entities.vector
        if field is None or not number:
            return ()
        found: list[Mapping[str, Any]] = []
        for bound in _division(entities, -(-number // queries))[:queries]:
            begin = entities.key(bound) if bound else None
            found += entities.read([entities.primary, field], None, begin, None, 1)
        width = self._width(entities, limit)
        vectors = (row[field] for row in found if row[field] is not None)
        return tuple(self._search(entities, width, vector, limit) for vector in vectors)

    def search_again(self, collection: str, golden: Sequence[Neighbours]) -> tuple[Neighbours, ...]:
        """Repeat the search of each golden query, with as many hits as it had."""
        entities = self._table(collection)
        asked = [(query.vector, max(1, len(query.keys))) for query in golden]
        width = self._width(entities, max((limit for _, limit in asked), default=1))
        return tuple(self._search(entities, width, vector, limit) for vector, limit in asked)

    def _table(self, collection: str) -> Entities:
        excluded = excluded_of(self._profile, collection)
        return Entities(self._reach, self._client(), collection, excluded)

    def _search(
        self, entities: Entities, width: Mapping[str, int], vector: Sequence[float], limit: int
    ) -> Neighbours:
        client, deadline, collection = self._client(), self._reach.deadline, entities.collection
        vector = [float(value) for value in vector]
        import_for_searches()
        with translated(self._reach, f"a search in {collection}"):
            (hits,) = client.search(
                collection,
                data=[vector],
                anns_field=entities.vector,
                limit=limit,
                search_params={"params": width},
                timeout=deadline,
                **entities.moment,
            )
        # Clients differ: a hit's key is under the primary key's own name, or under "id".
        found = [(str(hit.get(entities.primary, hit.get("id"))), float(hit["distance"])) for hit in hits]
        return ranked(vector, found)

    def _width(self, entities: Entities, limit: int) -> dict[str, int]:
        """Return the parameter of searches wide enough for `limit` hits, by the index type."""
        collection, field = entities.collection, entities.vector or ""
        with translated(self._reach, f"indexes of {collection}"):
            for _, index in indexes(self._client(), collection, self._reach.deadline, field):
                kind = str(index["index_type"])
                if kind.startswith("HNSW"):
                    return {"ef": max(WIDTH, limit)}
                if kind.startswith("IVF") or kind == "SCANN":
                    return {"nprobe": int(index.get("nlist", WIDTH))}
                if kind == "DISKANN":
                    return {"search_list": max(WIDTH, limit)}
        return {}


def _division(entities: Entities, records: int) -> tuple[str, ...]:
    bounds = (str(key) for place, key in enumerate(entities.keys()) if place and place % records == 0)
    return ("", *bounds)
