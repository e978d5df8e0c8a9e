"""Faults of Milvus: in the faults' own collections, and in the application's canary collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymilvus import DataType

from rollproof.errors import Mismatch
from staging.faults.fault import Register
from staging.faults.fault_vectors import COUNT, DIMENSIONS, embedded_anew, last_bit_changed, vector
from staging.target.operators import SECONDS, Operators, undone

fault = Register("milvus")
ENTITIES, OTHER, ALIAS = "faults_entities", "faults_other", "faults_alias"
CANARY = "colqwencanary_3ad08408_2f9a_5103_82a9_579282a0bbd7"


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own collections, one with an alias."""
    client = operators.milvus

    def remove() -> None:
        if client.has_collection(ENTITIES, timeout=SECONDS):
            for alias in client.list_aliases(ENTITIES, timeout=SECONDS)["aliases"]:
                client.drop_alias(alias, timeout=SECONDS)
        for name in (ENTITIES, OTHER):
            client.drop_collection(name, timeout=SECONDS)

    remove()
    with undone(remove):
        for name in (ENTITIES, OTHER):
            _create(operators, name)
        client.create_alias(ENTITIES, ALIAS, timeout=SECONDS)
        yield


def _entity(number: int, **changes: object) -> dict[str, Any]:
    return {"pk": number, "vector": vector(number), "word": f"Zürich {number}", "rest": "c"} | changes


def _create(
    operators: Operators, name: str, metric: str = "IP", dimensions: int = DIMENSIONS, length: int = 50
) -> None:
    client = operators.milvus
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


def _with(operators: Operators, *entities: dict[str, Any]) -> Iterator[None]:
    """Change some of the faults' own entities."""

    def put(rows: list[dict[str, Any]]) -> None:
        operators.milvus.upsert(ENTITIES, rows, timeout=SECONDS)

    with undone(lambda: put([_entity(entity["pk"]) for entity in entities])):
        put(list(entities))
        yield


@fault.content(ENTITIES)
def entity_lost(operators: Operators) -> Iterator[None]:
    """One entity is gone."""
    with undone(lambda: operators.milvus.upsert(ENTITIES, [_entity(7)], timeout=SECONDS)):
        operators.milvus.delete(ENTITIES, filter="pk == 7", timeout=SECONDS)
        yield


@fault.count(ENTITIES)
def entity_added(operators: Operators) -> Iterator[None]:
    """One entity is there that was not."""
    with undone(lambda: operators.milvus.delete(ENTITIES, filter="pk == 907", timeout=SECONDS)):
        operators.milvus.insert(ENTITIES, [_entity(7, pk=907)], timeout=SECONDS)
        yield


@fault.content(ENTITIES)
def vectors_swapped(operators: Operators) -> Iterator[None]:
    """Two entities have each other's vector."""
    yield from _with(operators, _entity(7, vector=vector(8)), _entity(8, vector=vector(7)))


@fault.content(ENTITIES)
def last_bit_of_a_vector(operators: Operators) -> Iterator[None]:
    """One value of one vector differs in its last bit."""
    yield from _with(operators, _entity(7, vector=last_bit_changed(7)))


@fault.golden(ENTITIES)
def embedded_by_another_model(operators: Operators) -> Iterator[None]:
    """Every vector is another, as after a change of the model: the count is as before."""
    yield from _with(operators, *(_entity(n, vector=embedded_anew(n)) for n in range(COUNT)))


@fault.content(ENTITIES)
def text_became_empty(operators: Operators) -> Iterator[None]:
    """A text is empty."""
    yield from _with(operators, _entity(7, word=""))


@fault.content(ENTITIES)
def trailing_space(operators: Operators) -> Iterator[None]:
    """A text has a space at its end."""
    yield from _with(operators, _entity(7, word="Zürich 7 "))


@fault.content(ENTITIES)
def boundary_shifted(operators: Operators) -> Iterator[None]:
    """The end of one field is at the beginning of the next: put together they read the same."""
    yield from _with(operators, _entity(7, word="Zürich ", rest="7c"))


def _made_anew(operators: Operators, **shape: Any) -> Iterator[None]:  # noqa: ANN401 - those of `_create`
    def make(**changes: Any) -> None:  # noqa: ANN401 - those of `_create`
        operators.milvus.drop_collection(OTHER, timeout=SECONDS)
        _create(operators, OTHER, **changes)

    with undone(make):
        make(**shape)
        yield


@fault.schema(OTHER)
def another_metric(operators: Operators) -> Iterator[None]:
    """A collection was made again with another metric."""
    yield from _made_anew(operators, metric="L2")


@fault.schema(OTHER)
def another_dimension(operators: Operators) -> Iterator[None]:
    """A collection was made again with vectors of another length."""
    yield from _made_anew(operators, dimensions=DIMENSIONS + 4)


@fault.schema(OTHER)
def another_length(operators: Operators) -> Iterator[None]:
    """A collection was made again with a shorter field."""
    yield from _made_anew(operators, length=40)


@fault.schema(CANARY)
def collection_unloaded(operators: Operators) -> Iterator[None]:
    """A collection of the application's is not loaded: nobody can search it."""
    with undone(lambda: operators.milvus.load_collection(CANARY, timeout=SECONDS)):
        operators.milvus.release_collection(CANARY, timeout=SECONDS)
        yield


@fault.schema(f"alias {ALIAS}")
def alias_moved(operators: Operators) -> Iterator[None]:
    """An alias means another collection."""
    with undone(lambda: operators.milvus.alter_alias(ENTITIES, ALIAS, timeout=SECONDS)):
        operators.milvus.alter_alias(OTHER, ALIAS, timeout=SECONDS)
        yield


@fault.left_over()
def collection_renamed(operators: Operators) -> Iterator[None]:
    """A collection has a name that the baseline does not know."""
    client, renamed = operators.milvus, "faults_renamed"
    with undone(lambda: client.rename_collection(renamed, OTHER, timeout=SECONDS)):
        client.rename_collection(OTHER, renamed, timeout=SECONDS)
        yield


@fault.references("pages_of_vectors")
def vector_names_no_file(operators: Operators) -> Iterator[None]:
    """An entity of the application's names a file that MongoDB does not know."""
    client = operators.milvus
    rows = client.query(
        CANARY,
        filter="page_number == 1",
        output_fields=["vector", "image_id", "page_number", "text"],
        limit=1,
        consistency_level="Strong",
        timeout=SECONDS,
    )
    if not rows:
        raise Mismatch(
            what=f"entities of {CANARY}",
            expected="at least 1",
            observed="0",
            source="Milvus",
            hint="the stack is unseeded, or a fault before was not taken back",
        )
    row = {name: value for name, value in rows[0].items() if name != "pk"} | {"file_id": "nowhere"}
    with undone(lambda: client.delete(CANARY, filter='file_id == "nowhere"', timeout=SECONDS)):
        client.insert(CANARY, [row], timeout=SECONDS)
        yield
