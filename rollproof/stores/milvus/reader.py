"""Milvus, read side: counts, schemas, digests over all fields, searches, whole entities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pymilvus import MilvusClient

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.profile.data_formats import Marks
from rollproof.stores.contract import (
    Beside,
    ExportedRecord,
    LoadState,
    Neighbours,
    Pace,
    Selection,
)
from rollproof.stores.milvus.client import (
    _WHOLE,
    NAMES,
    WORKERS,
    Milvus,
    count,
    import_for_searches,
    indexes,
    literal,
    load_state,
)
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.milvus.schema import schemas
from rollproof.stores.milvus.table import Entities
from rollproof.stores.names import Name, named, whole_numbers
from rollproof.stores.policy import chosen, excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import exported_by_key
from rollproof.stores.vectors import Scanned, Searcher, ranked
from rollproof.system.side_by_side import each

# The width of an approximate search: wide enough to be repeatable.
WIDTH = 512


class MilvusReader(Scanned):
    """Reads one Milvus database. Nothing is loaded or released.

    A field is a field of the schema or, if the collection has dynamic fields, an entity's own. Milvus does
    not accept primary keys that it generated itself. So with automatic keys an entity that is put back gets
    a new one. It is put back into the default partition.
    """

    _profile: MilvusProfile

    counted_by = "count(*) with Strong consistency"
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

    def __init__(self, readable: Readable[MilvusProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._milvus = Milvus(self._reach, self._profile.database)

    def close(self) -> None:
        """Release the connection."""
        self._milvus.close()

    def server(self) -> str:
        """Return the server's name and version."""
        return f"Milvus {self._milvus.version()}"

    def marks(self) -> Marks:
        """Return the server's version."""
        return {"server": self._milvus.version()}

    def counts(self) -> Mapping[str, int]:
        """Return the exact counts by collection.

        Raises `Unverifiable` if a collection is not loaded: it cannot be counted, and a view loads nothing.
        """
        return each(self.count, self.collections(), workers=WORKERS, name="milvus")

    def collections(self) -> Sequence[str]:
        """Return the collections, loaded or not."""
        return chosen(self._milvus.listed(), self._profile.collections)

    def count(self, collection: str) -> int:
        """Return the exact count of one collection, which must be loaded."""
        with self._milvus.asked(f"a count of {collection}") as client:
            return count(client, collection, self._reach.deadline)

    def load_state(self, collection: str) -> LoadState:
        """Return whether it can be searched."""
        with self._milvus.asked(f"the load state of {collection}") as client:
            return load_state(client, collection, self._reach.deadline)

    def search(self, collection: str, limit: int = 5) -> Sequence[str] | None:
        """Search for one entity's vector in `collection`; return None if it is empty."""
        entities = self._table(collection)
        field = entities.vector
        if field is None:
            raise self._reach.failed(
                ", ".join(f"{one['name']} {one['type'].name}" for one in entities.fields),
                expected=f"a field of type FLOAT_VECTOR in {collection}",
                hint="leave it out of the profile's `collections`: other vectors are not searched",
            )
        rows = entities.read([entities.primary, field], None, None, None, 1)
        if not rows:
            return None
        return [key for key, _ in self._nearest(entities, {}, rows[0][field], limit)]

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield scalar fields of all entities, read in blocks of `NAMES`."""
        condition = " and ".join(f"{name} == {literal(value)}" for name, value in where.items())
        with self._milvus.asked(f"{', '.join(fields)} of {collection}") as client:
            blocks = client.query_iterator(
                collection,
                batch_size=NAMES,
                filter=condition,
                output_fields=list(fields),
                timeout=self._reach.deadline,
                consistency_level="Strong",
            )
            with closing(blocks):
                while block := blocks.next():
                    yield from (named(row, fields) for row in block)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that entities' scalar fields hold; the first has texts or whole numbers."""
        with self._milvus.asked(f"{', '.join(fields)} of {collection}") as client:
            condition = self._among(client, collection, fields[0], sorted({name[0] for name in names}))
            if not condition:
                return set()
            found = client.query(
                collection,
                filter=condition,
                output_fields=list(fields),
                timeout=self._reach.deadline,
                consistency_level="Strong",
            )
        return {name for row in found if (name := named(row, fields)) is not None} & set(names)

    def _among(self, client: MilvusClient, collection: str, field: str, texts: Sequence[str]) -> str:
        """Return the condition that a field is one of `texts`, by its type, or "" if none of them can be."""
        described = client.describe_collection(collection, timeout=self._reach.deadline)["fields"]
        kind = next((one["type"] for one in described if one["name"] == field), None)
        # A dynamic field has any type.
        values: list[Sequence[str | int]] = [texts] if kind not in _WHOLE else []
        values += [whole_numbers(texts)] if kind is None or kind in _WHOLE else []
        return " or ".join(f"{field} in {literal(each)}" for each in values if each)

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's fields, partitions, indexes, load state, and each alias's collection."""
        names = chosen(self._milvus.listed(), self._profile.collections)
        with self._milvus.asked("schemas") as client:
            return schemas(client, names, self._reach.deadline)

    def beside(self) -> Beside:
        """Return the databases and collections that the profile does not list.

        Databases without a collection are left out: every server has one named ``default``.
        """
        names = self._milvus.listed()
        others = {*names} - {*chosen(names, self._profile.collections)}
        outside, unread = [f"collection {name}" for name in sorted(others)], []
        try:
            with self._milvus.asked("a list of databases") as client:
                found = client.list_databases(timeout=self._reach.deadline)
            databases = sorted({*found} - {self._profile.database})
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
        with Milvus(self._reach, database) as milvus:
            return bool(milvus.listed())

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        """Return searches for the vectors of entities at equal distances in the order of keys.

        They search the schema's first field of type FLOAT_VECTOR.
        """
        entities, number = self._table(collection), self.count(collection)
        field = entities.vector
        if field is None or not number:
            return ()
        found: list[Mapping[str, Any]] = []
        for bound in self.divide(collection, -(-number // queries))[:queries]:
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
        return Entities(self._milvus, collection, excluded)

    def _searcher(self, collection: str) -> Searcher:
        entities = self._table(collection)
        widest = self._width(entities, WIDTH)

        def search(
            vector: Sequence[float], limit: int, *, exact: bool = False, without: Sequence[str] = ()
        ) -> Sequence[tuple[str, float]]:
            width = widest if exact else {}
            return self._nearest(entities, width, vector, limit, entities.others(without))

        return search

    def _search(
        self, entities: Entities, width: Mapping[str, int], vector: Sequence[float], limit: int
    ) -> Neighbours:
        vector = [float(value) for value in vector]
        return ranked(vector, self._nearest(entities, width, vector, limit))

    def _nearest(
        self,
        entities: Entities,
        width: Mapping[str, int],
        vector: Sequence[float],
        limit: int,
        condition: str = "",
    ) -> list[tuple[str, float]]:
        """Return the keys and scores of the entities nearest to `vector`, the best first."""
        import_for_searches()
        with self._milvus.asked(f"a search in {entities.collection}") as client:
            (hits,) = client.search(
                entities.collection,
                data=[[float(value) for value in vector]],
                filter=condition,
                anns_field=entities.vector,
                limit=limit,
                search_params={"params": width},
                timeout=self._reach.deadline,
                **entities.moment,
            )
        # Clients differ: a hit's key is under the primary key's own name, or under "id".
        return [(str(hit.get(entities.primary, hit.get("id"))), float(hit["distance"])) for hit in hits]

    def _width(self, entities: Entities, limit: int) -> dict[str, int]:
        """Return the parameter of searches wide enough for `limit` hits, by the index type."""
        collection, field = entities.collection, entities.vector or ""
        with self._milvus.asked(f"indexes of {collection}") as client:
            for _, index in indexes(client, collection, self._reach.deadline, field):
                kind = str(index["index_type"])
                if kind.startswith("HNSW"):
                    return {"ef": max(WIDTH, limit)}
                if kind.startswith("IVF") or kind == "SCANN":
                    return {"nprobe": int(index.get("nlist", WIDTH))}
                if kind == "DISKANN":
                    return {"search_list": max(WIDTH, limit)}
        return {}

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted entities, requested by primary key."""
        entities = self._table(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = entities.whole([entities.key(key) for key in keys])
            return [entities.exported(row) for row in rows]

        yield from exported_by_key(selection, read, pace)
