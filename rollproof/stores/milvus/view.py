"""Milvus, read side.

A count here is ``count(*)`` with Strong consistency, which only a loaded collection answers. A collection's
statistics are never used: a server has reported 0 rows with a count of 54.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from threading import Lock
from typing import Any

import grpc  # type: ignore[import-untyped]
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from rollproof.errors import unanswered
from rollproof.profile.data_formats import Marks
from rollproof.stores.contract import Answer, Hit, LoadState, Search
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.names import Name, named, whole_numbers
from rollproof.stores.policy import chosen
from rollproof.stores.reach import Reach, Readable, StoreReader
from rollproof.stores.vectors import Metric, search_of
from rollproof.system.side_by_side import each

NOT_LOADED = 101
_WHOLE = frozenset({DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64})
# The client's own codes are smaller.
_OF_THE_SERVER = 100
_ANSWERS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
# The only other one for such a vector is L2.
METRICS = {"COSINE": Metric.COSINE, "IP": Metric.INNER_PRODUCT}
# A strong count waits for the server's next time tick, 0.2 s; counts side by side share that wait.
WORKERS = 8
# Names read at a time when references are followed.
NAMES = 1000

# The client logs each error with a traceback before raising it, so it would be reported twice.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


@contextmanager
def translated(reach: Reach, what: str) -> Iterator[None]:
    """Turn the client's exceptions during `what` into `Unverifiable`, in the server's words."""
    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        means = unanswered(error, refused=_refused(error))
        expected = f"{what} within {reach.deadline:g} s"
        raise reach.failed(_words(error), expected=expected, hint=_hint(error), means=means) from None


def connect(reach: Reach, database: str) -> MilvusClient:
    """Return a logged-in client with its own connection; raises `Unverifiable`."""
    options = {"server_pem_path": reach.endpoint.ca} if reach.endpoint.ca else {}
    with translated(reach, "log-in"):
        return MilvusClient(
            uri=reach.url,
            user=reach.account.user,
            # The client logs in only with a password.
            password=reach.account.password.get_secret_value(),
            db_name=database,
            timeout=reach.deadline,
            # Shared connections are never closed, and are left in a bad state by a restart of the server.
            dedicated=True,
            **options,
        )


def marks(readable: Readable[MilvusProfile]) -> Marks:
    """Return the marks of the server's format. See `Descriptor.marks`."""
    reach = readable.reach
    with closing(connect(reach, readable.profile.database)) as client, translated(reach, "a version"):
        return {"server": client.get_server_version(timeout=reach.deadline)}


def import_for_searches() -> None:
    """Import SciPy, if it is installed, as the client does in its first search.

    When several threads search at once, some of them would see a "partially initialized module". It is slow,
    and not for what only counts.
    """
    with suppress(ImportError):
        import scipy.sparse  # type: ignore[import-untyped]  # noqa: F401, PLC0415


def listed(client: MilvusClient, reach: Reach) -> list[str]:
    """Return the names of all collections, loaded or not; raises `Unverifiable`."""
    with translated(reach, "a list of collections"):
        return sorted(client.list_collections(timeout=reach.deadline))


def indexes(
    client: MilvusClient, collection: str, seconds: float, field: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each index, or those of a `field`, with its description; raises the client's exceptions."""
    for name in client.list_indexes(collection, field_name=field, timeout=seconds):
        yield name, client.describe_index(collection, name, timeout=seconds) or {}


def count(client: MilvusClient, collection: str, deadline_seconds: float) -> int:
    """Return the exact number of entities; raises the client's exceptions."""
    rows = client.query(
        collection,
        filter="",
        output_fields=["count(*)"],
        consistency_level="Strong",
        timeout=deadline_seconds,
    )
    return int(rows[0]["count(*)"])


def load_state(client: MilvusClient, collection: str, deadline_seconds: float) -> LoadState:
    """Return whether a query is answered, not refused as not loaded; raises the client's exceptions.

    The server's own call is not used: Milvus 2.3 requires the privilege to load for it.
    """
    try:
        client.query(
            collection,
            filter="",
            output_fields=["count(*)"],
            consistency_level="Eventually",
            timeout=deadline_seconds,
        )
    except MilvusException as error:
        if error.code == NOT_LOADED:
            return LoadState(loaded=False, word="not loaded")
        raise
    return LoadState(loaded=True, word="loaded")


class MilvusReader(StoreReader[MilvusProfile]):
    """The base of Milvus's view and content reader: it holds their connection to one database."""

    def __init__(self, readable: Readable[MilvusProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._open: MilvusClient | None = None
        self._opening = Lock()

    def close(self) -> None:
        """Release the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _client(self) -> MilvusClient:
        # Several threads call this, and share one connection.
        with self._opening:
            if self._open is None:
                self._open = connect(self._reach, self._profile.database)
            return self._open

    def _count(self, collection: str) -> int:
        with translated(self._reach, f"a count of {collection}"):
            return count(self._client(), collection, self._reach.deadline)


class View(MilvusReader):
    """Read-only view of one Milvus database. See `VectorView`."""

    kind = "milvus"

    def ask(self) -> Answer:
        """Count the first collection that holds an entity, or the last if all are empty."""
        collections = self.collections()
        if not collections:
            raise self._reach.failed(
                "none",
                expected=f"a collection that matches {', '.join(self._profile.collections)}",
                hint="a query can only touch data where there is some: check `database` and `collections`",
            )
        for collection in collections:
            records = self._count(collection)
            if records:
                break
        with translated(self._reach, "a version"):
            server = self._client().get_server_version(timeout=self._reach.deadline)
        return Answer(
            query="count(*) with Strong consistency",
            collection=collection,
            records=records,
            server=f"Milvus {server}",
        )

    def counts(self) -> Mapping[str, int]:
        """Return the exact counts by collection.

        Raises `Unverifiable` if a collection is not loaded: it cannot be counted, and a view loads nothing.
        """
        return each(self._count, self.collections(), workers=WORKERS, name="milvus")

    def collections(self) -> Sequence[str]:
        """Return the collections, loaded or not. See `CollectionsView`."""
        return chosen(listed(self._client(), self._reach), self._profile.collections)

    def count(self, collection: str) -> int:
        """Return the exact count of one collection, which must be loaded. See `CollectionsView`."""
        return self._count(collection)

    def load_state(self, collection: str) -> LoadState:
        """Return whether it can be searched. See `VectorView`."""
        with translated(self._reach, f"the load state of {collection}"):
            return load_state(self._client(), collection, self._reach.deadline)

    def search(self, collection: str, limit: int = 5) -> Search | None:
        """Search for one entity's vector in `collection`; return None if it is empty."""
        client, deadline = self._client(), self._reach.deadline
        with translated(self._reach, f"a search in {collection}"):
            fields = client.describe_collection(collection, timeout=deadline)["fields"]
            key = next(field["name"] for field in fields if field.get("is_primary"))
            vector = self._vector_field(collection, fields)
            rows = client.query(
                collection,
                filter="",
                output_fields=[key, vector],
                limit=1,
                consistency_level="Strong",
                timeout=deadline,
            )
            if not rows:
                return None
            import_for_searches()
            (hits,) = client.search(
                collection,
                data=[rows[0][vector]],
                anns_field=vector,
                limit=limit,
                consistency_level="Strong",
                timeout=deadline,
            )
        # Clients differ: a hit's key is under the primary key's own name, or under "id".
        found = [Hit(key=str(hit.get(key, hit.get("id"))), score=float(hit["distance"])) for hit in hits]
        return search_of(str(rows[0][key]), rows[0][vector], found, lambda: self._metric(collection, vector))

    def _metric(self, collection: str, vector: str) -> Metric:
        with translated(self._reach, f"indexes of {collection}"):
            found = indexes(self._client(), collection, self._reach.deadline, vector)
            metrics = [str(index["metric_type"]) for _, index in found]
        return METRICS.get(metrics[0], Metric.DISTANCE) if metrics else Metric.DISTANCE

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield scalar fields of all entities, read in blocks of `NAMES`. See `ReferenceView`."""
        condition = " and ".join(f"{name} == {literal(value)}" for name, value in where.items())
        with translated(self._reach, f"{', '.join(fields)} of {collection}"):
            blocks = self._client().query_iterator(
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
        with translated(self._reach, f"{', '.join(fields)} of {collection}"):
            condition = self._among(collection, fields[0], sorted({name[0] for name in names}))
            if not condition:
                return set()
            found = self._client().query(
                collection,
                filter=condition,
                output_fields=list(fields),
                timeout=self._reach.deadline,
                consistency_level="Strong",
            )
        return {name for row in found if (name := named(row, fields)) is not None} & set(names)

    def _among(self, collection: str, field: str, texts: Sequence[str]) -> str:
        """Return the condition that a field is one of `texts`, by its type, or "" if none of them can be."""
        described = self._client().describe_collection(collection, timeout=self._reach.deadline)["fields"]
        kind = next((one["type"] for one in described if one["name"] == field), None)
        # A dynamic field has any type.
        values: list[Sequence[str | int]] = [texts] if kind not in _WHOLE else []
        values += [whole_numbers(texts)] if kind is None or kind in _WHOLE else []
        return " or ".join(f"{field} in {literal(each)}" for each in values if each)

    def _vector_field(self, collection: str, fields: Iterable[Mapping[str, Any]]) -> str:
        for field in fields:
            if field["type"] == DataType.FLOAT_VECTOR:
                return str(field["name"])
        raise self._reach.failed(
            ", ".join(f"{field['name']} {field['type'].name}" for field in fields),
            expected=f"a field of type FLOAT_VECTOR in {collection}",
            hint="leave this collection out of the profile's `collections`: other vectors are not searched",
        )


def literal(value: int | str | Sequence[int | str]) -> str:
    """Return a key or a list of them as a condition has it."""
    # The server refuses the escapes that JSON has for characters beyond 16 bits.
    return json.dumps(value, ensure_ascii=False)


def _refused(error: Exception) -> bool:
    """Return whether the server said so."""
    cause = _cause(error)
    if isinstance(cause, grpc.Call):
        return cause.code() in _ANSWERS
    if not isinstance(error, MilvusException):
        return False
    # Of a server that it cannot connect to, the client says so with the reason as the cause.
    return error.code >= _OF_THE_SERVER or (error.__cause__ is None and error.__context__ is None)


def _cause(error: Exception) -> BaseException | None:
    """Return what the server answered by: if it cannot connect, the client hides that in the cause."""
    return error if isinstance(error, grpc.RpcError) else error.__cause__


def _words(error: Exception) -> str:
    """Return the server's words."""
    cause = _cause(error)
    if isinstance(cause, grpc.Call):
        return f"{cause.code().name}: {cause.details()}"
    if isinstance(error, MilvusException):
        return f"error {error.code}: {error.message}"
    return type(error).__name__


def _hint(error: Exception) -> str:
    cause = _cause(error)
    if isinstance(cause, grpc.Call) and cause.code() in _ANSWERS:
        return "check the user and password of the profile, and what that user is granted"
    if not isinstance(cause, grpc.Call) and isinstance(error, MilvusException) and error.code == NOT_LOADED:
        return "only a loaded collection can be counted: load it, or find out who released it"
    return "check the address and that Milvus runs; /healthz may say OK long before it can be queried"
