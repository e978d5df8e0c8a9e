"""The cost of a digest of vectors, compared with a bare read of the same points, on running servers.

The benchmark creates a collection, reads it five times in each way, in turn, and drops it.
"""

from __future__ import annotations

import json
import random
import uuid
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx2

from benchmarks.measure import Measure, side_by_side
from rollproof.engines.engine import Endpoint
from rollproof.profile.sections import Account, Address, ApiKey
from rollproof.stores.contract import Pace
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.qdrant.client import Rest, path_of
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Reach, Readable, account_of
from rollproof.stores.reader import Reader

DIMENSION = 384
BATCH = 1000
READ = 2500
PART = 10_000
TIMES = 5
SECONDS = 60.0
SEED = 20


def records(count: int) -> Iterator[list[dict[str, Any]]]:
    """Yield records in batches, the same records each time."""
    numbers = random.Random(SEED)  # noqa: S311 - reproducible
    for start in range(0, count, BATCH):
        yield [
            {
                "id": number,
                "vector": array("f", (numbers.gauss(0, 1) for _ in range(DIMENSION))).tolist(),
                "file_id": f"file {number}",
                "page": number % 7,
            }
            for number in range(start, min(start + BATCH, count))
        ]


@contextmanager
def qdrant(endpoint: Endpoint, key: ApiKey, count: int) -> Iterator[tuple[Reader, str]]:
    """Yield a content reader and a filled collection of Qdrant; drop the collection at the end."""
    from rollproof.stores.qdrant.reader import QdrantReader  # noqa: PLC0415 - a driver a store

    rest, name = (
        Rest(Reach("qdrant", endpoint, account_of(key), SECONDS)),
        f"benchmark_{uuid.uuid4().hex[:8]}",
    )
    rest.call("PUT", path_of(name), {"vectors": {"size": DIMENSION, "distance": "Cosine"}})
    try:
        for batch in records(count):
            points = [{"id": each.pop("id"), "vector": each.pop("vector"), "payload": each} for each in batch]
            rest.call("PUT", f"{path_of(name)}/points?wait=true", {"points": points})
        profile = QdrantProfile(
            kind="qdrant",
            address=Address(host=endpoint.host, port=endpoint.port),
            services=("qdrant",),
            risk="low",
            collections=(name,),
            deadline_seconds=SECONDS,
            reader=key,
        )
        yield QdrantReader(Readable("qdrant", profile, endpoint)), name
    finally:
        rest.call("DELETE", path_of(name))


def scroll(endpoint: Endpoint, key: ApiKey, collection: str, batch: int) -> int:
    """Read all points with payload and vector on one connection, as a script would; return their count."""
    request: dict[str, Any] = {"limit": batch, "with_payload": True, "with_vector": True}
    read = 0
    with httpx2.Client(
        base_url=f"http://{endpoint.host}:{endpoint.port}",
        headers={"api-key": key.key.get_secret_value()},
        timeout=SECONDS,
        trust_env=False,
    ) as client:
        while True:
            answer = client.post(f"{path_of(collection)}/points/scroll", json=request).raise_for_status()
            block = json.loads(answer.content)["result"]
            read += len(block["points"])
            if block["next_page_offset"] is None:
                return read
            request["offset"] = block["next_page_offset"]


@contextmanager
def milvus(endpoint: Endpoint, account: Account, count: int) -> Iterator[tuple[Reader, str]]:
    """Yield a content reader and a filled collection of Milvus; drop the collection at the end."""
    from pymilvus import DataType  # noqa: PLC0415 - a driver a store

    from rollproof.stores.milvus import client as milvus_client  # noqa: PLC0415
    from rollproof.stores.milvus.reader import MilvusReader  # noqa: PLC0415
    from rollproof.stores.reach import Reach  # noqa: PLC0415

    client, name = (
        milvus_client.Milvus(Reach("milvus", endpoint, account, SECONDS), "default").connect(),
        f"benchmark_{uuid.uuid4().hex[:8]}",
    )
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    schema.add_field("file_id", DataType.VARCHAR, max_length=50)
    schema.add_field("page", DataType.INT32)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 8, "efConstruction": 64})
    client.create_collection(name, schema=schema, index_params=index, timeout=SECONDS)
    try:
        for batch in records(count):
            client.insert(name, batch, timeout=SECONDS)
        client.flush(name, timeout=SECONDS)
        profile = MilvusProfile(
            kind="milvus",
            address=Address(host=endpoint.host, port=endpoint.port),
            services=("milvus",),
            risk="low",
            collections=(name,),
            deadline_seconds=SECONDS,
            reader=account,
        )
        with MilvusReader(Readable("milvus", profile, endpoint)) as content:
            yield content, name
    finally:
        client.drop_collection(name, timeout=SECONDS)
        client.close()


def iterate(endpoint: Endpoint, account: Account, collection: str, batch: int) -> int:
    """Read all entities with all fields by the client's own iterator; return their count."""
    from rollproof.stores.milvus import client as milvus_client  # noqa: PLC0415 - a driver a store
    from rollproof.stores.reach import Reach  # noqa: PLC0415

    client, read = milvus_client.Milvus(Reach("milvus", endpoint, account, SECONDS), "default").connect(), 0
    try:
        blocks = client.query_iterator(
            collection,
            batch_size=batch,
            output_fields=["id", "vector", "file_id", "page"],
            timeout=SECONDS,
            consistency_level="Strong",
        )
        while block := blocks.next():
            read += len(block)
        blocks.close()
    finally:
        client.close()
    return read


def digest(content: Reader, collection: str, connections: int) -> int:
    """Divide and digest the whole collection; return the digest's count of records."""
    division = content.divide(collection, PART)
    pace = Pace(connections=connections)
    parts = content.digest(collection, division, range(len(division)), pace)
    return sum(part.records for _, part in parts)


def compare_qdrant(endpoint: Endpoint, key: ApiKey, count: int, batch: int = READ) -> list[Measure]:
    """Return the times of a bare scroll and of digests, for the same points in the same run."""
    with qdrant(endpoint, key, count) as (content, name):
        bare = partial(scroll, endpoint, key, name, batch)
        return side_by_side(_ways("bare scroll", bare, content, name, count), TIMES)


def compare_milvus(endpoint: Endpoint, account: Account, count: int, batch: int = READ) -> list[Measure]:
    """Return the times of a bare iteration and of digests, for the same entities in the same run."""
    with milvus(endpoint, account, count) as (content, name):
        bare = partial(iterate, endpoint, account, name, batch)
        return side_by_side(_ways("bare iteration", bare, content, name, count), TIMES)


def _ways(
    bare_name: str, bare: Callable[[], int], content: Reader, collection: str, count: int
) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], int]] = {
        bare_name: bare,
        "digest, 1 connection": partial(digest, content, collection, 1),
        "digest, 2 connections": partial(digest, content, collection, 2),
    }
    return {name: _reading_all(name, way, count) for name, way in ways.items()}


def _reading_all(name: str, way: Callable[[], int], count: int) -> Callable[[], None]:
    """Wrap `way` so that it raises unless it sees `count` records: a partial read's time means nothing."""

    def run() -> None:
        seen = way()
        if seen != count:
            raise ValueError(f"{name}: expected {count} records, observed {seen}")

    return run
