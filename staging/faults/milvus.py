"""Faults of Milvus: in the faults' own collections, and in the application's canary collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pymilvus import DataType

from staging.faults.fault import Act, Fault, Inject, both
from staging.faults.vectors import COUNT, DIMENSIONS, last_bit_changed, of_another_model, vector
from staging.target.operators import SECONDS, Operators, undone

ENTITIES, OTHER, ALIAS, RENAMED = "faults_entities", "faults_other", "faults_alias", "faults_renamed"
CANARY = "colqwencanary_3ad08408_2f9a_5103_82a9_579282a0bbd7"


def plant(operators: Operators) -> None:
    """Make the faults' own collections, one with an alias."""
    remove(operators)
    for name in (ENTITIES, OTHER):
        _create(name)(operators)
    operators.milvus.create_alias(ENTITIES, ALIAS, timeout=SECONDS)


def remove(operators: Operators) -> None:
    """Remove the faults' own collections and their alias."""
    client = operators.milvus
    if client.has_collection(ENTITIES, timeout=SECONDS):
        for alias in client.list_aliases(ENTITIES, timeout=SECONDS)["aliases"]:
            client.drop_alias(alias, timeout=SECONDS)
    for name in (ENTITIES, OTHER):
        client.drop_collection(name, timeout=SECONDS)


def _entity(number: int, **changes: object) -> dict[str, Any]:
    return {"pk": number, "vector": vector(number), "word": f"Zürich {number}", "rest": "c"} | changes


def _create(name: str, metric: str = "IP", dimensions: int = DIMENSIONS, length: int = 50) -> Act:
    def create(operators: Operators) -> None:
        client = operators.milvus
        client.drop_collection(name, timeout=SECONDS)
        schema = client.create_schema(auto_id=False)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
        schema.add_field("word", DataType.VARCHAR, max_length=length)
        schema.add_field("rest", DataType.VARCHAR, max_length=50)
        index = client.prepare_index_params()
        graph = {"M": 8, "efConstruction": 64}
        index.add_index("vector", index_type="HNSW", metric_type=metric, params=graph)
        client.create_collection(name, schema=schema, index_params=index, timeout=SECONDS)
        rows = [_entity(number, vector=(vector(number) * 2)[:dimensions]) for number in range(COUNT)]
        client.insert(name, rows, timeout=SECONDS)

    return create


def _with(*entities: dict[str, Any], without: str = "pk < 0") -> Inject:
    """Return an injection that writes some of the faults' own entities, and deletes others."""

    def change(operators: Operators) -> None:
        operators.milvus.delete(ENTITIES, filter=without, timeout=SECONDS)
        operators.milvus.upsert(ENTITIES, list(entities), timeout=SECONDS)

    def mend(operators: Operators) -> None:
        operators.milvus.delete(ENTITIES, filter=f"pk >= {COUNT}", timeout=SECONDS)
        operators.milvus.upsert(ENTITIES, [*map(_entity, range(COUNT))], timeout=SECONDS)

    return both(change, mend)


@contextmanager
def _names_no_file(operators: Operators) -> Iterator[None]:
    client = operators.milvus
    fields = ["vector", "image_id", "page_number", "text"]
    (found,) = client.query(
        CANARY, "page_number == 1", fields, limit=1, consistency_level="Strong", timeout=SECONDS
    )
    row = {name: value for name, value in found.items() if name != "pk"} | {"file_id": "nowhere"}
    with undone(lambda: client.delete(CANARY, filter='file_id == "nowhere"', timeout=SECONDS)):
        client.insert(CANARY, [row], timeout=SECONDS)
        yield


def _alter_alias(collection: str) -> Act:
    return lambda operators: operators.milvus.alter_alias(collection, ALIAS, timeout=SECONDS)


def _rename(name: str, other: str) -> Act:
    return lambda operators: operators.milvus.rename_collection(name, other, timeout=SECONDS)


_fault = partial(Fault, "milvus")
FAULTS = (
    _fault("entity lost", "content", ENTITIES, _with(_entity(8), without="pk == 7")),
    _fault("entity added", "count", ENTITIES, _with(_entity(7, pk=907))),
    _fault(
        "vectors swapped",
        "content",
        ENTITIES,
        _with(_entity(7, vector=vector(8)), _entity(8, vector=vector(7))),
    ),
    _fault("last bit of a vector", "content", ENTITIES, _with(_entity(7, vector=last_bit_changed(7)))),
    _fault(
        "embedded by another model",
        "golden",
        ENTITIES,
        _with(*(_entity(number, vector=of_another_model(number)) for number in range(COUNT))),
    ),
    _fault("text became empty", "content", ENTITIES, _with(_entity(7, word=""))),
    _fault("trailing space", "content", ENTITIES, _with(_entity(7, word="Zürich 7 "))),
    _fault("boundary shifted", "content", ENTITIES, _with(_entity(7, word="Zürich ", rest="7c"))),
    _fault("another metric", "schema", OTHER, both(_create(OTHER, metric="L2"), _create(OTHER))),
    _fault(
        "another dimension", "schema", OTHER, both(_create(OTHER, dimensions=DIMENSIONS + 4), _create(OTHER))
    ),
    _fault("another length", "schema", OTHER, both(_create(OTHER, length=40), _create(OTHER))),
    _fault(
        "collection unloaded",
        "schema",
        CANARY,
        both(
            lambda o: o.milvus.release_collection(CANARY, timeout=SECONDS),
            lambda o: o.milvus.load_collection(CANARY, timeout=SECONDS),
        ),
    ),
    _fault("alias moved", "schema", f"alias {ALIAS}", both(_alter_alias(OTHER), _alter_alias(ENTITIES))),
    _fault(
        "collection renamed", "collection left", "", both(_rename(OTHER, RENAMED), _rename(RENAMED, OTHER))
    ),
    _fault("vector names no file", "references", "pages_of_vectors", _names_no_file),
)
