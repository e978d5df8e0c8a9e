"""Faults of Qdrant: in the faults' own collections, and in the application's points of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rollproof.errors import Unverifiable
from staging.faults.fault import Register
from staging.faults.fault_vectors import COUNT, DIMENSIONS, embedded_anew, last_bit_changed, vector
from staging.target.operators import Operators, undone

fault = Register("qdrant")
POINTS, OTHER, ALIAS = "faults_points", "faults_other", "faults_alias"
FILES = "files"
_SHAPE: Mapping[str, Any] = {"vectors": {"size": DIMENSIONS, "distance": "Dot"}}


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own collections, with an alias and an index."""

    def remove() -> None:
        _alias(operators, None)
        for name in (POINTS, OTHER):
            _drop(operators, name)

    remove()
    with undone(remove):
        for name in (POINTS, OTHER):
            _create(operators, name)
        _index(operators)
        _alias(operators, POINTS)
        yield


def _drop(operators: Operators, name: str) -> None:
    if operators.qdrant.call("GET", f"/collections/{name}/exists")["exists"]:
        operators.qdrant.call("DELETE", f"/collections/{name}")


def _point(number: int, **changes: object) -> dict[str, Any]:
    payload = {"word": f"Zürich {number}", "rest": "c", "page": number, "nothing": None}
    return {"id": number, "vector": vector(number), "payload": payload} | changes


def _put(operators: Operators, *points: Mapping[str, Any], collection: str = POINTS) -> None:
    operators.qdrant.call("PUT", f"/collections/{collection}/points?wait=true", {"points": list(points)})


def _delete(operators: Operators, *ids: object, collection: str = POINTS) -> None:
    path = f"/collections/{collection}/points/delete?wait=true"
    operators.qdrant.call("POST", path, {"points": list(ids)})


def _create(operators: Operators, name: str, shape: Mapping[str, Any] = _SHAPE) -> None:
    operators.qdrant.call("PUT", f"/collections/{name}", dict(shape))
    size = shape["vectors"]["size"]
    points = [_point(number, vector=(vector(number) * 2)[:size]) for number in range(COUNT)]
    _put(operators, *points, collection=name)


def _index(operators: Operators) -> None:
    body = {"field_name": "word", "field_schema": "keyword"}
    operators.qdrant.call("PUT", f"/collections/{POINTS}/index?wait=true", body)


def _alias(operators: Operators, collection: str | None, name: str = ALIAS) -> None:
    """Point an alias at a collection; None deletes the alias."""
    action: dict[str, Any] = {"delete_alias": {"alias_name": name}}
    if collection is not None:
        action = {"create_alias": {"alias_name": name, "collection_name": collection}}
    operators.qdrant.call("POST", "/collections/aliases", {"actions": [action]})


def _with(operators: Operators, *points: Mapping[str, Any]) -> Iterator[None]:
    """Change some of the faults' own points."""
    with undone(lambda: _put(operators, *(_point(point["id"]) for point in points))):
        _put(operators, *points)
        yield


def _paid(operators: Operators, **payload: object) -> Iterator[None]:
    """Change fields in a point's payload; the value ... removes a field."""
    whole = {name: value for name, value in {**_point(7)["payload"], **payload}.items() if value is not ...}
    yield from _with(operators, _point(7, payload=whole))


@fault.content(POINTS)
def point_lost(operators: Operators) -> Iterator[None]:
    """One point is gone."""
    with undone(lambda: _put(operators, _point(7))):
        _delete(operators, 7)
        yield


@fault.content(POINTS)
def point_under_another_id(operators: Operators) -> Iterator[None]:
    """One point has another id: the count is as before."""
    with undone(lambda: _put(operators, _point(7))), undone(lambda: _delete(operators, 907)):
        _delete(operators, 7)
        _put(operators, _point(7, id=907))
        yield


@fault.count(FILES)
def file_point_added(operators: Operators) -> Iterator[None]:
    """The application's collection has one more point."""
    size = operators.qdrant.call("GET", f"/collections/{FILES}")["config"]["params"]["vectors"]["size"]
    with undone(lambda: _delete(operators, 4711, collection=FILES)):
        _put(operators, {"id": 4711, "vector": [1.0] + [0.0] * (size - 1), "payload": {}}, collection=FILES)
        yield


@fault.content(POINTS)
def vectors_swapped(operators: Operators) -> Iterator[None]:
    """Two points have each other's vector."""
    yield from _with(operators, _point(7, vector=vector(8)), _point(8, vector=vector(7)))


@fault.content(POINTS)
def last_bit_of_a_vector(operators: Operators) -> Iterator[None]:
    """One value of one vector differs in its last bit."""
    yield from _with(operators, _point(7, vector=last_bit_changed(7)))


@fault.golden(POINTS)
def embedded_by_another_model(operators: Operators) -> Iterator[None]:
    """Every vector is another, as after a change of the model: the count is as before."""
    yield from _with(operators, *(_point(n, vector=embedded_anew(n)) for n in range(COUNT)))


@fault.content(POINTS)
def payload_field_renamed(operators: Operators) -> Iterator[None]:
    """A field of a payload has another name."""
    yield from _paid(operators, page=..., page_number=7)


@fault.content(POINTS)
def integer_became_text(operators: Operators) -> Iterator[None]:
    """An integer in a payload is a text."""
    yield from _paid(operators, page="7")


@fault.content(POINTS)
def null_became_empty(operators: Operators) -> Iterator[None]:
    """A null in a payload became an empty text."""
    yield from _paid(operators, nothing="")


@fault.content(POINTS)
def boundary_shifted(operators: Operators) -> Iterator[None]:
    """The end of one field is at the beginning of the next: put together they read the same."""
    yield from _paid(operators, word="Zürich ", rest="7c")


def _made_anew(operators: Operators, **vectors: object) -> Iterator[None]:
    def make(shape: Mapping[str, Any]) -> None:
        _drop(operators, OTHER)
        _create(operators, OTHER, shape)

    with undone(lambda: make(_SHAPE)):
        make({"vectors": {**_SHAPE["vectors"], **vectors}})
        yield


@fault.schema(OTHER)
def another_metric(operators: Operators) -> Iterator[None]:
    """A collection was made again with another metric."""
    yield from _made_anew(operators, distance="Euclid")


@fault.schema(OTHER)
def another_dimension(operators: Operators) -> Iterator[None]:
    """A collection was made again with vectors of another length."""
    yield from _made_anew(operators, size=DIMENSIONS + 4)


@fault.schema(POINTS)
def index_dropped(operators: Operators) -> Iterator[None]:
    """An index of the payload is gone."""
    with undone(lambda: _index(operators)):
        operators.qdrant.call("DELETE", f"/collections/{POINTS}/index/word?wait=true")
        yield


@fault.schema(f"alias {ALIAS}")
def alias_moved(operators: Operators) -> Iterator[None]:
    """An alias means another collection."""
    with undone(lambda: _alias(operators, POINTS)):
        _alias(operators, OTHER)
        yield


@fault.left_over_schema()
def alias_left(operators: Operators) -> Iterator[None]:
    """An alias of the migration is still there."""
    with undone(lambda: _alias(operators, None, "faults_left")):
        _alias(operators, POINTS, "faults_left")
        yield


@fault.left_over()
def collection_left(operators: Operators) -> Iterator[None]:
    """A collection of the migration is still there."""
    with undone(lambda: _drop(operators, "faults_left")):
        _create(operators, "faults_left")
        yield


@fault.references("files_of_points")
def point_names_no_file(operators: Operators) -> Iterator[None]:
    """A point names a file that MongoDB does not know."""
    points = f"/collections/{FILES}/points"
    request = {"limit": 1, "with_payload": True}
    (point,) = operators.qdrant.call("POST", f"{points}/scroll", request)["points"]

    def name(payload: Mapping[str, Any]) -> None:
        body = {"payload": dict(payload), "points": [point["id"]]}
        operators.qdrant.call("PUT", f"{points}/payload?wait=true", body)

    try:
        with undone(lambda: name(point["payload"])):
            name({**point["payload"], "file_id": "nowhere"})
            yield
    except Unverifiable as problem:
        problem.add_note(f"point {point['id']} of {FILES} may still name the file nowhere")
        raise
