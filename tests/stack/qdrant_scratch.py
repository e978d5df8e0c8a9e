"""Qdrant collections of a test's own, with every kind of id, payload and vector, and ways to damage them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from fixtures.stores.qdrant import Rest, path_of

NUMBERS = 30
UUIDS = 10
ALIASES = "/collections/aliases"
VECTORS = {
    "image": {"size": 3, "distance": "Dot", "hnsw_config": {"m": 8}},
    "pages": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
}


def identity(number: int) -> int | str:
    """Return the id of one of the points: a number, or a UUID for those after `NUMBERS`."""
    return number if number < NUMBERS else str(UUID(int=number))


def payload(number: int) -> dict[str, Any]:
    return {
        "word": f"word {number}",
        "first": "ab",
        "second": "c",
        "nothing": None,
        "yes": True,
        "whole": number,
        "small": 1,
        "part": number / 3,
        "list": [1, 1.0, "1", True, None],
        "deep": {"b": number, "a": {"c": [number]}},
    }


def vectors(number: int) -> dict[str, Any]:
    return {
        "image": [1.0, number / 7, -number / 3],
        "pages": [[1.0, number / 9], [number / 5, 0.5]],
        "terms": {"indices": [number, 2 * number + 1], "values": [0.25, number + 0.5]},
    }


def next_float(value: float) -> float:
    """Return the float32 after `value`: one bit is another."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    (following,) = struct.unpack("<f", struct.pack("<I", bits + 1))
    return float(following)


class Scratch:
    """What a test does to one Qdrant as its operator; all names begin with `name`."""

    def __init__(self, rest: Rest, name: str) -> None:
        self.rest = rest
        self.name = name
        self.full, self.other, self.alias = f"{name}full", f"{name}other", f"{name}alias"

    def fill(self) -> None:
        self.create(self.full)
        self.create(self.other, {"size": 4, "distance": "Cosine"})
        points = [
            {"id": identity(number), "vector": vectors(number), "payload": payload(number)}
            for number in range(NUMBERS + UUIDS)
        ]
        self.rest.call("PUT", f"{path_of(self.full)}/points?wait=true", {"points": points})
        self.index("word", "keyword")
        self.point(self.alias, self.full)

    def create(self, collection: str, dense: dict[str, Any] | None = None, **more: object) -> None:
        body: dict[str, Any] = {"vectors": dense or VECTORS, **more}
        if dense is None:
            body["sparse_vectors"] = {"terms": {}}
        self.rest.call("PUT", path_of(collection), body)

    def put(
        self,
        number: int,
        *,
        at: object = None,
        vector: object = None,
        content: object = None,
        **fields: object,
    ) -> None:
        """Write the point `number`, or one under the id `at`, with some of its fields changed."""
        point = {
            "id": identity(number) if at is None else at,
            "vector": {**vectors(number), **(vector or {})},  # type: ignore[dict-item]
            "payload": {**payload(number), **fields} if content is None else content,
        }
        self.rest.call("PUT", f"{path_of(self.full)}/points?wait=true", {"points": [point]})

    def delete(self, *ids: object) -> None:
        self.rest.call("POST", f"{path_of(self.full)}/points/delete?wait=true", {"points": list(ids)})

    def index(self, field: str, schema: object) -> None:
        body = {"field_name": field, "field_schema": schema}
        self.rest.call("PUT", f"{path_of(self.full)}/index?wait=true", body)

    def drop_index(self, field: str) -> None:
        self.rest.call("DELETE", f"{path_of(self.full)}/index/{field}?wait=true")

    def point(self, alias: str, collection: str) -> None:
        action = {"create_alias": {"alias_name": alias, "collection_name": collection}}
        self.rest.call("POST", ALIASES, {"actions": [action]})

    def make_anew(self, dense: dict[str, Any]) -> None:
        self.rest.call("DELETE", path_of(self.other))
        self.create(self.other, dense)

    def clear(self) -> None:
        for collection in self.rest.collections([f"{self.name}*"]):
            self.rest.call("DELETE", path_of(collection))


def _lost_and_added(scratch: Scratch) -> None:
    scratch.delete(7)
    scratch.put(7, at=700)


def _words_swapped(scratch: Scratch) -> None:
    scratch.put(7, word="word 8")
    scratch.put(8, word="word 7")


def _vectors_swapped(scratch: Scratch) -> None:
    scratch.put(7, vector=vectors(8))
    scratch.put(8, vector=vectors(7))


def _embedded_anew(scratch: Scratch) -> None:
    for number in range(NUMBERS + UUIDS):
        image = [value * 1.001 for value in vectors(number)["image"]]
        scratch.put(number, vector={"image": image})


def _moved_to_a_uuid(scratch: Scratch) -> None:
    scratch.delete(7)
    scratch.put(7, at=str(UUID(int=7)))


def _field_renamed(scratch: Scratch) -> None:
    content = payload(7)
    content["Word"] = content.pop("word")
    scratch.put(7, content=content)


def _without(number: int, field: str) -> dict[str, Any]:
    return {name: value for name, value in payload(number).items() if name != field}


def _without_a_vector(scratch: Scratch) -> None:
    body = {"points": [7], "vector": ["pages"]}
    scratch.rest.call("POST", f"{path_of(scratch.full)}/points/vectors/delete?wait=true", body)


def _index_of_another_type(scratch: Scratch) -> None:
    scratch.drop_index("word")
    scratch.index("word", "text")


DAMAGE: dict[str, Callable[[Scratch], None]] = {
    "a point lost": lambda scratch: scratch.delete(7),
    "a point with a UUID lost": lambda scratch: scratch.delete(identity(NUMBERS + 1)),
    "a point added": lambda scratch: scratch.put(7, at=900, word="new"),
    "a point twice": lambda scratch: scratch.put(7, at=901),
    "one lost and one added": _lost_and_added,
    "a UUID instead of a number": _moved_to_a_uuid,
    "two words swapped": _words_swapped,
    "two vectors swapped": _vectors_swapped,
    "every vector embedded anew": _embedded_anew,
    "a vector's last bit": lambda scratch: scratch.put(7, vector={"image": [1.0, next_float(7 / 7), -7 / 3]}),
    "a bit of a multivector": lambda scratch: scratch.put(
        7, vector={"pages": [[1.0, 7 / 9], [7 / 5, next_float(0.5)]]}
    ),
    "two rows of a multivector swapped": lambda scratch: scratch.put(
        7, vector={"pages": vectors(7)["pages"][::-1]}
    ),
    "a multivector cut elsewhere": lambda scratch: scratch.put(
        7, vector={"pages": [*vectors(7)["pages"], [0.0, 0.0]]}
    ),
    "a bit of a sparse vector": lambda scratch: scratch.put(
        7, vector={"terms": {"indices": [7, 15], "values": [0.25, next_float(7.5)]}}
    ),
    "an index of a sparse vector": lambda scratch: scratch.put(
        7, vector={"terms": {"indices": [7, 16], "values": [0.25, 7.5]}}
    ),
    "a named vector lost": _without_a_vector,
    "NULL is empty": lambda scratch: scratch.put(7, nothing=""),
    "NULL is nothing": lambda scratch: scratch.put(7, content=_without(7, "nothing")),
    "a trailing space": lambda scratch: scratch.put(7, word="word 7 "),
    "another case": lambda scratch: scratch.put(7, word="Word 7"),
    "less precision": lambda scratch: scratch.put(7, part=2.3333333),
    "a float for an integer": lambda scratch: scratch.put(7, small=1.0),
    "a text for an integer": lambda scratch: scratch.put(7, small="1"),
    "a truth for an integer": lambda scratch: scratch.put(7, small=True),
    "a boundary shifted": lambda scratch: scratch.put(7, first="a", second="bc"),
    "a list in another order": lambda scratch: scratch.put(7, list=[1.0, 1, "1", True, None]),
    "a change deep inside": lambda scratch: scratch.put(7, deep={"b": 7, "a": {"c": [7, []]}}),
    "a field renamed": _field_renamed,
    "a field added": lambda scratch: scratch.put(7, more=[]),
    "a payload lost": lambda scratch: scratch.put(7, content={}),
}
"""Each changes the digest of `full`."""

SCHEMA_DAMAGE: dict[str, Callable[[Scratch], None]] = {
    "another metric": lambda scratch: scratch.make_anew({"size": 4, "distance": "Euclid"}),
    "another dimension": lambda scratch: scratch.make_anew({"size": 5, "distance": "Cosine"}),
    "another datatype": lambda scratch: scratch.make_anew(
        {"size": 4, "distance": "Cosine", "datatype": "float16"}
    ),
    "vectors on disk": lambda scratch: scratch.make_anew({"size": 4, "distance": "Cosine", "on_disk": True}),
    "another graph": lambda scratch: scratch.make_anew(
        {"size": 4, "distance": "Cosine", "hnsw_config": {"m": 32}}
    ),
    "an index lost": lambda scratch: scratch.drop_index("word"),
    "an index added": lambda scratch: scratch.index("small", "integer"),
    "an index of another type": _index_of_another_type,
    "an alias moved": lambda scratch: scratch.point(scratch.alias, scratch.other),
    "an alias added": lambda scratch: scratch.point(f"{scratch.name}second", scratch.full),
    "a collection lost": lambda scratch: scratch.rest.call("DELETE", path_of(scratch.other)),
    "a collection added": lambda scratch: scratch.create(f"{scratch.name}later"),
}
"""Each changes the schemas."""
