"""Milvus, read side: counts, schemas, digests over all fields, searches, whole entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from pymilvus import DataType

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.profile.data_formats import Marks
from rollproof.stores.contract import LOAD_STATE, ExportedRecord, Pace, Selection, Unlisted
from rollproof.stores.milvus.client import WORKERS, Milvus, import_for_searches, literal
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.milvus.table import Entities
from rollproof.stores.names import Name, named, whole_numbers
from rollproof.stores.policy import chosen, excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import exported_by_key
from rollproof.stores.vectors import Scanned, Searcher
from rollproof.system.side_by_side import each

# The width of an approximate search: wide enough to be repeatable.
_WIDTH = 512
# Names read at a time when references are followed.
_NAMES = 1000
_WHOLE = frozenset({DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64})
# The compared entries of a description; the others are names given elsewhere, and the server's ids and times.
_DESCRIBED = (
    "auto_id",
    "consistency_level_name",
    "description",
    "enable_dynamic_field",
    "functions",
    "num_shards",
    "properties",
    "struct_fields",
)
# The entries of an index about its progress, which a restore or a compaction changes.
_PROGRESS = frozenset(
    {"total_rows", "indexed_rows", "pending_index_rows", "state", "index_state_fail_reason"}
)


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
        "in which partition an entity lies, users, roles and resource groups are not compared",
        "only a collection with a field of type FLOAT_VECTOR is searched",
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
        return self._milvus.count(collection)

    def load_state(self, collection: str) -> str:
        """Return `LOADED`, or "not loaded"."""
        return self._milvus.load_state(collection)

    def search(self, collection: str, limit: int = 5) -> Sequence[str] | None:
        """Search for one entity's vector in `collection`; return None if it is empty."""
        entities = self._table(collection)
        if entities.vector is None:
            raise self._reach.failed(
                "none",
                expected=f"a field of type FLOAT_VECTOR in {collection}",
                hint="leave it out of the profile's `collections`: other vectors are not searched",
            )
        rows = entities.read([entities.primary, entities.vector], None, None, None, 1)
        hits = self._nearest(entities, {}, rows[0][entities.vector], limit) if rows else None
        return None if hits is None else [key for key, _ in hits]

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield scalar fields of all entities, read in blocks of `NAMES`."""
        condition = " and ".join(f"{name} == {literal(value)}" for name, value in where.items())
        with self._milvus.asked(f"{', '.join(fields)} of {collection}") as client:
            blocks = client.query_iterator(
                collection,
                batch_size=_NAMES,
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
        texts = sorted({name[0] for name in names})
        described = self._milvus.described(collection)["fields"]
        kind = next((one["type"] for one in described if one["name"] == fields[0]), None)
        # A dynamic field has any type.
        values: list[Sequence[str | int]] = [texts] if kind not in _WHOLE else []
        values += [whole_numbers(texts)] if kind is None or kind in _WHOLE else []
        condition = " or ".join(f"{fields[0]} in {literal(some)}" for some in values if some)
        if not condition:
            return set()
        with self._milvus.asked(f"{', '.join(fields)} of {collection}") as client:
            found = client.query(
                collection,
                filter=condition,
                output_fields=list(fields),
                timeout=self._reach.deadline,
                consistency_level="Strong",
            )
        return {name for row in found if (name := named(row, fields)) is not None} & set(names)

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's fields, partitions, indexes, load state, and each alias's collection."""
        found = each(self._schemas, self.collections(), workers=WORKERS, name="milvus").values()
        return dict(sorted((name, schema) for schemas in found for name, schema in schemas.items()))

    def _schemas(self, collection: str) -> dict[str, Json]:
        """Return the schema of a collection, and of its aliases."""
        described = self._milvus.described(collection)
        with self._milvus.asked(f"partitions of {collection}") as client:
            partitions = sorted(client.list_partitions(collection, timeout=self._reach.deadline))
        indexes = {
            name: {key: value for key, value in index.items() if key not in _PROGRESS}
            for name, index in self._milvus.indexes(collection).items()
        }
        schema = {
            **{name: described[name] for name in _DESCRIBED if name in described},
            "fields": [
                {name: value for name, value in field.items() if name != "field_id"}
                for field in described["fields"]
            ],
            "partitions": partitions,
            "indexes": indexes,
            LOAD_STATE: self._milvus.load_state(collection),
        }
        aliases = dict.fromkeys((f"alias {alias}" for alias in described.get("aliases") or ()), collection)
        return {collection: _json(schema), **aliases}

    def unlisted(self) -> Unlisted:
        """Return the databases and collections that the profile does not list.

        Databases without a collection are left out: every server has one named ``default``.
        """
        others = {*self._milvus.listed()} - {*self.collections()}
        outside, unread = [f"collection {name}" for name in sorted(others)], []
        try:
            with self._milvus.asked("a list of databases") as client:
                databases = {*client.list_databases(timeout=self._reach.deadline)} - {self._profile.database}
        except Unverifiable:  # collections were listed, so it is this alone that is refused
            databases, unread = set(), ["databases of others: ListDatabases"]
        for database in sorted(databases):
            try:
                with Milvus(self._reach, database) as milvus:
                    outside += [f"database {database}"] if milvus.listed() else []
            except Unverifiable:
                unread.append(f"collections of database {database}: ShowCollections there")
        return Unlisted(outside=tuple(outside), unread=tuple(unread))

    def _table(self, collection: str) -> Entities:
        return Entities(self._milvus, collection, excluded_of(self._profile, collection))

    def _vectors(self, collection: str, bounds: Sequence[str]) -> Iterator[Sequence[float]]:
        entities = self._table(collection)
        field = entities.vector
        if field is None:
            return
        for bound in bounds:
            begin = entities.key(bound) if bound else None
            for row in entities.read([entities.primary, field], None, begin, None, 1):
                if row[field] is not None:
                    yield [float(value) for value in row[field]]

    def _searcher(self, collection: str) -> Searcher:
        entities = self._table(collection)
        return partial(self._nearest, entities, self._widest(entities))

    def _nearest(
        self,
        entities: Entities,
        widest: Mapping[str, int],
        vector: Sequence[float],
        limit: int,
        *,
        exact: bool = False,
        without: Sequence[str] = (),
    ) -> list[tuple[str, float]]:
        """Return the keys and scores of the entities nearest to `vector`, the best first."""
        import_for_searches()
        with self._milvus.asked(f"a search in {entities.collection}") as client:
            (hits,) = client.search(
                entities.collection,
                data=[[float(value) for value in vector]],
                filter=entities.others(without),
                anns_field=entities.vector,
                limit=limit,
                search_params={"params": widest if exact else {}},
                timeout=self._reach.deadline,
                **entities.moment,
            )
        # Clients differ: a hit's key is under the primary key's own name, or under "id".
        return [(str(hit.get(entities.primary, hit.get("id"))), float(hit["distance"])) for hit in hits]

    def _widest(self, entities: Entities) -> dict[str, int]:
        """Return the parameter of the widest searches that make sense, by the index type."""
        for index in self._milvus.indexes(entities.collection, entities.vector or "").values():
            kind = str(index["index_type"])
            if kind.startswith("HNSW"):
                return {"ef": _WIDTH}
            if kind.startswith("IVF") or kind == "SCANN":
                return {"nprobe": int(index.get("nlist", _WIDTH))}
            if kind == "DISKANN":
                return {"search_list": _WIDTH}
        return {}

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted entities, requested by primary key."""
        entities = self._table(selection.collection)

        def read(keys: Sequence[str]) -> list[ExportedRecord]:
            rows = entities.whole([entities.key(key) for key in keys])
            return [entities.exported(row) for row in rows]

        yield from exported_by_key(selection, read, pace)


def _json(value: Any) -> Json:  # noqa: ANN401 - whatever the client describes with
    """Return a description as JSON: types by name, mappings sorted."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _json(each) for name, each in sorted(value.items(), key=str)}
    return [_json(each) for each in value] if isinstance(value, Iterable) else str(value)
