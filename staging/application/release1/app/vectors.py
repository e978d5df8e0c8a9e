"""Vectors: chunks in one Milvus collection per knowledge base, files as points of one Qdrant collection."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType
from qdrant_client import models

from app.connections import milvus, qdrant
from app.embedding import DIMENSIONS, Vectors
from app.identity import point_id, vector_collection
from app.settings import BULK_DEADLINE, STORE_DEADLINE

METRIC = "IP"
FILES = "files"
QUERY_LIMIT = 16_384
"""The most rows that Milvus returns to one query."""
_INDEX: dict[str, Any] = {
    "index_type": "HNSW",
    "metric_type": METRIC,
    "params": {"M": 16, "efConstruction": 500},
}
_FIELDS = ["image_id", "file_id", "page_number", "text"]


@dataclass(frozen=True)
class Chunk:
    """A page of a file: its ids, its place and its text."""

    image_id: str
    file_id: str
    page_number: int
    text: str


@dataclass(frozen=True)
class ChunkHit:
    """A chunk that a search found, and its inner product with the question."""

    chunk: Chunk
    score: float


def create_collection(
    knowledge_base_id: str,
    *,
    load: bool = True,
    **index: Any,  # noqa: ANN401 -- index parameters are the store's own
) -> None:
    """Create a knowledge base's collection with its index; `index` overrides the index's parameters.

    An existing collection with this name is dropped first.
    """
    name, client = vector_collection(knowledge_base_id), milvus()
    if client.has_collection(name, timeout=BULK_DEADLINE):
        client.drop_collection(name, timeout=BULK_DEADLINE)
    schema = client.create_schema(auto_id=True, enable_dynamic_field=False)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSIONS)
    schema.add_field("image_id", DataType.VARCHAR, max_length=200)
    schema.add_field("file_id", DataType.VARCHAR, max_length=200)
    schema.add_field("page_number", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=8192)
    client.create_collection(name, schema=schema, timeout=BULK_DEADLINE)
    parameters = client.prepare_index_params()
    parameters.add_index("vector", index_name="vector_index", **{**_INDEX, **index})
    client.create_index(name, parameters, timeout=BULK_DEADLINE)
    if load:
        load_collection(name)


def flush(name: str) -> None:
    """Seal a collection's inserted rows, and write them to the store's own storage."""
    milvus().flush(name, timeout=BULK_DEADLINE)


def load_collection(name: str) -> None:
    """Load a collection, so that it can be searched."""
    milvus().load_collection(name, timeout=BULK_DEADLINE)


def drop_collection(knowledge_base_id: str) -> None:
    """Drop a knowledge base's collection, and its files' points."""
    milvus().drop_collection(vector_collection(knowledge_base_id), timeout=BULK_DEADLINE)
    qdrant().delete(FILES, points_selector=models.FilterSelector(filter=_of(knowledge_base_id)), wait=True)


def create_file_collection() -> None:
    """Create the Qdrant collection of files, unless there is one."""
    if not qdrant().collection_exists(FILES):
        parameters = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        qdrant().create_collection(FILES, vectors_config=parameters)


def insert_chunks(name: str, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    """Insert chunks with their vectors into a Milvus collection."""
    rows = [{**vars(chunk), "vector": vector} for chunk, vector in zip(chunks, vectors, strict=True)]
    milvus().insert(name, rows, timeout=BULK_DEADLINE)


def file_point(file_id: str, knowledge_base_id: str, filename: str, vector: Vectors) -> models.PointStruct:
    """Build the point of a file."""
    payload = {"file_id": file_id, "knowledge_base_id": knowledge_base_id, "filename": filename}
    return models.PointStruct(id=point_id(file_id), vector=vector.tolist(), payload=payload)


def insert_files(points: list[models.PointStruct]) -> None:
    """Store the points of files."""
    qdrant().upsert(FILES, points=points, wait=True)


def search_chunks(knowledge_base_id: str, vector: Vectors, limit: int) -> list[ChunkHit]:
    """Return the chunks of a knowledge base that are nearest to a vector, the best first."""
    (hits,) = milvus().search(
        vector_collection(knowledge_base_id),
        data=[vector.tolist()],
        anns_field="vector",
        limit=limit,
        search_params={"metric_type": METRIC, "params": {"ef": 64}},
        output_fields=_FIELDS,
        consistency_level="Strong",
        timeout=STORE_DEADLINE,
    )
    return [
        ChunkHit(Chunk(**{field: hit["entity"][field] for field in _FIELDS}), float(hit["distance"]))
        for hit in hits
    ]


def search_files(knowledge_base_id: str, vector: Vectors, limit: int) -> dict[str, float]:
    """Return the files of a knowledge base that are nearest to a vector, with their cosine."""
    found = qdrant().query_points(
        FILES,
        query=vector.tolist(),
        query_filter=_of(knowledge_base_id),
        limit=limit,
        with_payload=True,
        timeout=int(STORE_DEADLINE),
    )
    return {str((point.payload or {})["file_id"]): point.score for point in found.points}


def delete_file(knowledge_base_id: str, file_id: str) -> None:
    """Delete a file's chunks from its knowledge base's collection."""
    expression = f"file_id == {json.dumps(file_id)}"
    milvus().delete(vector_collection(knowledge_base_id), filter=expression, timeout=STORE_DEADLINE)


def _of(knowledge_base_id: str) -> models.Filter:
    match = models.MatchValue(value=knowledge_base_id)
    return models.Filter(must=[models.FieldCondition(key="knowledge_base_id", match=match)])
