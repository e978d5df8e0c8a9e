"""Faults of Qdrant: in the faults' own collections, and in the application's points of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from staging.faults.fault import Act, Fault, Inject, both
from staging.faults.vectors import COUNT, DIMENSIONS, last_bit_changed, of_another_model, vector
from staging.target.operators import Operators, undone

POINTS, OTHER, ALIAS, LEFT, FILES = "faults_points", "faults_other", "faults_alias", "faults_left", "files"


def plant(operators: Operators) -> None:
    """Make the faults' own collections, with an alias and an index."""
    remove(operators)
    for name in (POINTS, OTHER):
        _create(name)(operators)
    _index(operators)
    _alias(POINTS)(operators)


def remove(operators: Operators) -> None:
    """Remove the faults' own collections and their alias."""
    _alias(None)(operators)
    for name in (POINTS, OTHER):
        _drop(name)(operators)


def point(number: int, **changes: object) -> dict[str, Any]:
    """Return a point of the faults' own collections; changes are of its payload but for vector and id."""
    own = {"id": number, "vector": vector(number)}
    payload = {"word": f"Zürich {number}", "rest": "c", "page": number, "nothing": None}
    fields = payload | {name: value for name, value in changes.items() if name not in own}
    return {
        **own,
        **{name: value for name, value in changes.items() if name in own},
        "payload": {name: value for name, value in fields.items() if value is not ...},
    }


def _put(operators: Operators, *points: Mapping[str, Any], collection: str = POINTS) -> None:
    operators.qdrant.call("PUT", f"/collections/{collection}/points?wait=true", {"points": list(points)})


def _delete(operators: Operators, *ids: object, collection: str = POINTS) -> None:
    path = f"/collections/{collection}/points/delete?wait=true"
    operators.qdrant.call("POST", path, {"points": list(ids)})


def _create(name: str, size: int = DIMENSIONS, distance: str = "Dot") -> Act:
    def create(operators: Operators) -> None:
        _drop(name)(operators)
        shape = {"vectors": {"size": size, "distance": distance}}
        operators.qdrant.call("PUT", f"/collections/{name}", shape)
        points = [point(number, vector=(vector(number) * 2)[:size]) for number in range(COUNT)]
        _put(operators, *points, collection=name)

    return create


def _drop(name: str) -> Act:
    return lambda operators: operators.qdrant.call("DELETE", f"/collections/{name}")


def _index(operators: Operators) -> None:
    body = {"field_name": "word", "field_schema": "keyword"}
    operators.qdrant.call("PUT", f"/collections/{POINTS}/index?wait=true", body)


def _alias(collection: str | None, name: str = ALIAS) -> Act:
    """Return the act that points an alias at a collection, or, for None, deletes the alias."""
    action: dict[str, Any] = {"delete_alias": {"alias_name": name}}
    if collection is not None:
        action = {"create_alias": {"alias_name": name, "collection_name": collection}}
    return lambda operators: operators.qdrant.call("POST", "/collections/aliases", {"actions": [action]})


def _with(*points: Mapping[str, Any], without: int | None = None) -> Inject:
    """Return an injection that writes some of the faults' own points, and deletes one."""

    def change(operators: Operators) -> None:
        if without is not None:
            _delete(operators, without)
        _put(operators, *points)

    def mend(operators: Operators) -> None:
        _delete(operators, *(each["id"] for each in points if each["id"] >= COUNT))
        _put(operators, *map(point, range(COUNT)))

    return both(change, mend)


@contextmanager
def point_added(operators: Operators) -> Iterator[None]:
    """The application's collection has one more point during the block."""
    size = operators.qdrant.call("GET", f"/collections/{FILES}")["config"]["params"]["vectors"]["size"]
    with undone(lambda: _delete(operators, 4711, collection=FILES)):
        _put(operators, {"id": 4711, "vector": [1.0] + [0.0] * (size - 1), "payload": {}}, collection=FILES)
        yield


@contextmanager
def _names_no_file(operators: Operators) -> Iterator[None]:
    points = f"/collections/{FILES}/points"
    (found,) = operators.qdrant.call("POST", f"{points}/scroll", {"limit": 1, "with_payload": True})["points"]

    def name(payload: Mapping[str, Any]) -> None:
        body = {"payload": dict(payload), "points": [found["id"]]}
        operators.qdrant.call("PUT", f"{points}/payload?wait=true", body)

    with undone(lambda: name(found["payload"])):
        name({**found["payload"], "file_id": "nowhere"})
        yield


_fault = partial(Fault, "qdrant")
FAULTS = (
    _fault("point lost", "content", POINTS, _with(point(8), without=7)),
    _fault("point under another id", "content", POINTS, _with({**point(7), "id": 907}, without=7)),
    _fault("file point added", "count", FILES, point_added),
    _fault(
        "vectors swapped", "content", POINTS, _with(point(7, vector=vector(8)), point(8, vector=vector(7)))
    ),
    _fault("last bit of a vector", "content", POINTS, _with(point(7, vector=last_bit_changed(7)))),
    _fault(
        "embedded by another model",
        "golden",
        POINTS,
        _with(*(point(number, vector=of_another_model(number)) for number in range(COUNT))),
    ),
    _fault("payload field renamed", "content", POINTS, _with(point(7, page=..., page_number=7))),
    _fault("integer became text", "content", POINTS, _with(point(7, page="7"))),
    _fault("null became empty", "content", POINTS, _with(point(7, nothing=""))),
    _fault("boundary shifted", "content", POINTS, _with(point(7, word="Zürich ", rest="7c"))),
    _fault("another metric", "schema", OTHER, both(_create(OTHER, distance="Euclid"), _create(OTHER))),
    _fault("another dimension", "schema", OTHER, both(_create(OTHER, DIMENSIONS + 4), _create(OTHER))),
    _fault(
        "index dropped",
        "schema",
        POINTS,
        both(lambda o: o.qdrant.call("DELETE", f"/collections/{POINTS}/index/word?wait=true"), _index),
    ),
    _fault("alias moved", "schema", f"alias {ALIAS}", both(_alias(OTHER), _alias(POINTS))),
    _fault("alias left", "schema left", "", both(_alias(POINTS, LEFT), _alias(None, LEFT))),
    _fault("collection left", "collection left", "", both(_create(LEFT), _drop(LEFT))),
    _fault("point names no file", "references", "files_of_points", _names_no_file),
)
