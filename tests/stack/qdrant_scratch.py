"""A test's own Qdrant collections, with every kind of id, payload and vector."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rollproof.stores.qdrant.client import Rest, path_of
from tests.stack.scratch_stores import WIDTH, scattered

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

    def recreate(self, dense: dict[str, Any]) -> None:
        self.rest.call("DELETE", path_of(self.other))
        self.create(self.other, dense)

    def create_large(self, collection: str, **graph: int) -> None:
        """Make a collection with a graph (HNSW), or make it again: the same points each time."""
        self.rest.call("DELETE", path_of(collection), absent={404})
        self.create(
            collection,
            {"size": WIDTH, "distance": "Cosine"},
            hnsw_config={**graph, "full_scan_threshold": 1},
            optimizers_config={"indexing_threshold": 1},
        )
        points = [{"id": number, "vector": vector} for number, vector in enumerate(scattered())]
        self.rest.call("PUT", f"{path_of(collection)}/points?wait=true", {"points": points})

    def clear(self) -> None:
        for collection in self.rest.collections([f"{self.name}*"]):
            self.rest.call("DELETE", path_of(collection))
