"""Milvus collections with a field of every type."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

from tests.stack.milvus_scratch import SECONDS
from tests.stack.scratch_stores import WIDTH, scattered

ENTITIES = 40
DIMENSION = 4


def vector(number: int) -> list[float]:
    return [1.0, number / 8, number % 3 - 0.5, 0.25]


def entity(number: int, **changes: object) -> dict[str, Any]:
    """Return the entity `number`, with some fields changed; a field that is ... is left out."""
    whole: dict[str, Any] = {
        "pk": number,
        "vector": vector(number),
        "word": f"word {number}",
        "first": "ab",
        "second": "c",
        "yes": True,
        "whole": number,
        "single": number / 8,
        "double": number / 3,
        "json": {"b": number, "a": [1, 1.0, "1", True, None]},
        "floats": [0.5, 1.5],
        "own": 1,
        "nothing": None,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


class Scratch:
    """What a test does to one Milvus as its operator; all names begin with `name`."""

    def __init__(self, client: MilvusClient, name: str) -> None:
        self.client = client
        self.name = name
        self.full, self.other = f"{name}full", f"{name}other"

    def create_full(self) -> None:
        """Create a collection with a field of every type, and of an entity's own."""
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        for field in ("word", "first", "second"):
            schema.add_field(field, DataType.VARCHAR, max_length=50)
        schema.add_field("yes", DataType.BOOL)
        schema.add_field("whole", DataType.INT32)
        schema.add_field("single", DataType.FLOAT)
        schema.add_field("double", DataType.DOUBLE)
        schema.add_field("json", DataType.JSON)
        schema.add_field("floats", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=9)
        self._create(self.full, schema)
        self.put(*(entity(number) for number in range(ENTITIES)))

    def create(
        self,
        collection: str,
        *,
        key: DataType = DataType.INT64,
        dimension: int = DIMENSION,
        length: int = 50,
        dynamic: bool = False,
        automatic: bool = False,
        partitioned: bool = False,
        **index: Any,  # noqa: ANN401 - those of `_create`
    ) -> None:
        """Create a small collection."""
        schema = self.client.create_schema(auto_id=automatic, enable_dynamic_field=dynamic)
        more = {"max_length": 50} if key == DataType.VARCHAR else {}
        schema.add_field("pk", key, is_primary=True, **more)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        schema.add_field("word", DataType.VARCHAR, max_length=length, is_partition_key=partitioned)
        self._create(collection, schema, **index)

    def create_large(self, collection: str) -> None:
        """Make a collection with a sealed segment: one of fewer than 1,024 entities has no index."""
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=WIDTH)
        self._create(collection, schema)
        rows = [{"pk": number, "vector": one} for number, one in enumerate(scattered())]
        self.client.insert(collection, rows, timeout=SECONDS)
        self.client.flush(collection, timeout=SECONDS)
        self.index(collection)

    def index(self, collection: str, **index: Any) -> None:  # noqa: ANN401 - those of `_parameters`
        """Build the index of a collection again, and load it."""
        self.client.release_collection(collection, timeout=SECONDS)
        self.client.drop_index(collection, "vector", timeout=SECONDS)
        self.client.create_index(collection, self._parameters(**index), timeout=SECONDS)
        self.client.load_collection(collection, timeout=SECONDS)

    def put(self, *entities: dict[str, Any], collection: str = "") -> None:
        self.client.upsert(collection or self.full, list(entities), timeout=SECONDS)

    def delete(self, *keys: int) -> None:
        self.client.delete(self.full, filter=f"pk in {list(keys)}", timeout=SECONDS)

    def mend(self) -> None:
        """Make the entities of `full` what they were."""
        self.client.delete(self.full, filter=f"pk >= {ENTITIES}", timeout=SECONDS)
        self.put(*(entity(number) for number in range(ENTITIES)))

    def recreate(self, **changes: Any) -> None:  # noqa: ANN401 - those of `create`
        self.client.drop_collection(self.other, timeout=SECONDS)
        self.create(self.other, **changes)

    def clear(self) -> None:
        for collection in self.client.list_collections(timeout=SECONDS):
            if collection.startswith(self.name):
                for alias in self.client.list_aliases(collection, timeout=SECONDS)["aliases"]:
                    self.client.drop_alias(alias, timeout=SECONDS)
                self.client.drop_collection(collection, timeout=SECONDS)

    def _create(self, collection: str, schema: Any, **index: Any) -> None:  # noqa: ANN401 - the client's own
        parameters = self._parameters(**index)
        self.client.create_collection(collection, schema=schema, index_params=parameters, timeout=SECONDS)

    def _parameters(
        self,
        index_type: str = "HNSW",
        metric_type: str = "L2",
        params: dict[str, int] | None = None,
    ) -> Any:  # noqa: ANN401 - the client's own
        index = self.client.prepare_index_params()
        index.add_index(
            "vector",
            index_type=index_type,
            metric_type=metric_type,
            params=params or {"M": 8, "efConstruction": 64},
        )
        return index
