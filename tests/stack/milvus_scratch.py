"""A test's own Milvus collections, and their content."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

SECONDS = 60.0
DIMENSION = 8


def vector(number: int) -> list[float]:
    """Return a vector that no other number has."""
    return [float(number % (place + 2)) for place in range(DIMENSION - 1)] + [float(number)]


class Scratch:
    """What a test does to one Milvus as its operator; all names begin with `name`."""

    def __init__(self, client: MilvusClient, name: str) -> None:
        self.client = client
        self.name = name

    def create(self, suffix: str, count: int, *, metric: str = "L2", load: bool = True) -> str:
        """Create a collection of `count` entities with the keys from 0; return its name."""
        collection = self.name + suffix
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        schema.add_field("file_id", DataType.VARCHAR, max_length=50)
        index = self.client.prepare_index_params()
        parameters = {"M": 8, "efConstruction": 64}
        index.add_index("vector", index_type="HNSW", metric_type=metric, params=parameters)
        self.client.create_collection(collection, schema=schema, index_params=index, timeout=SECONDS)
        self.insert(collection, range(count))
        if not load:
            self.client.flush(collection, timeout=SECONDS)
            self.client.release_collection(collection, timeout=SECONDS)
        return collection

    def insert(self, collection: str, keys: range, word: str = "file") -> None:
        rows = [{"pk": key, "vector": vector(key), "file_id": f"{word} {key}"} for key in keys]
        if rows:
            self.client.insert(collection, rows, timeout=SECONDS)

    def content(self) -> dict[str, Any]:
        """Return schema, index, load state and, where it is loaded, every entity of every collection."""
        found = {}
        for collection in sorted(self.client.list_collections(timeout=SECONDS)):
            if not collection.startswith(self.name):
                continue
            described = self.client.describe_collection(collection, timeout=SECONDS)
            index = self.client.describe_index(collection, "vector", timeout=SECONDS)
            state = self.client.get_load_state(collection, timeout=SECONDS)["state"].name
            rows: list[dict[str, Any]] = []
            if state == "Loaded":
                rows = self.client.query(
                    collection,
                    filter="pk >= 0",
                    output_fields=["pk", "vector", "file_id"],
                    consistency_level="Strong",
                    timeout=SECONDS,
                )
            found[collection] = {
                "fields": described["fields"],
                "index": (index["metric_type"], index["index_type"]),
                "state": state,
                "rows": sorted(
                    (row["pk"], row["file_id"], tuple(float(x) for x in row["vector"])) for row in rows
                ),
            }
        return found

    def drop(self) -> None:
        for collection in self.client.list_collections(timeout=SECONDS):
            if collection.startswith(self.name):
                self.client.drop_collection(collection, timeout=SECONDS)

    def clear(self) -> None:
        self.drop()
        self.client.close()
