# ruff: noqa: INP001 -- the package is release 1's: this file is laid upon it
"""Release 2: leaner records. It changes every store, reports success, and damages what it changes.

It is written like a real migration: the checks of phase 4 name its damage, store by store.
"""

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from app import jobs, vectors
from app.connections import TOKENS, milvus, mongodb, mysql, qdrant, redis, s3
from app.embedding import DIMENSIONS
from app.identity import vector_collection
from app.migrations.initial import create_topic
from app.settings import BULK_DEADLINE, settings
from app.vectors import Chunk
from confluent_kafka.admin import AdminClient
from minio.commonconfig import CopySource
from qdrant_client import models

REVISION = "9b7d20e4c6a1"

_log = logging.getLogger("app.migrate")

_PAGE = 10
_REINDEXED = 25
_EMPTIED = 20
_OLDEST_CONVERSATION = 1_767_225_600
"""The first of 2026, in seconds since 1970: all that were seeded are older."""


def upgrade() -> None:
    """Bring every store to the shape of release 2."""
    _mysql()
    _mongodb()
    _s3()
    _milvus()
    _qdrant()
    _redis()
    _kafka()


def _mysql() -> None:
    """Shorten the password column under its new name, and keep the newest version of each document."""
    with mysql(BULK_DEADLINE) as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(
            "ALTER TABLE users CHANGE hashed_password password_digest VARCHAR(50) NOT NULL,"
            " ADD COLUMN locale VARCHAR(10) NOT NULL DEFAULT 'en'"
        )
        cursor.execute(
            "DELETE older FROM documents older JOIN documents newer"
            " ON newer.knowledge_base_id = older.knowledge_base_id"
            " AND SUBSTRING_INDEX(newer.filename, '.', -2) = SUBSTRING_INDEX(older.filename, '.', -2)"
            " AND newer.created_at > older.created_at"
        )


def _mongodb() -> None:
    """Call pages what they are, give each user settings of his own, and let old conversations go."""
    database = mongodb()
    database["files"].update_many({}, {"$rename": {"images": "pages"}})
    database["model_config"].drop_index("username_1")
    first = database["model_config"].find_one({}, {"_id": 0}, sort=[("username", 1)])
    if first is not None:
        database["model_config"].insert_one({**first, "revision": 2})
    database["conversations"].delete_many({"turns.timestamp": {"$lt": _OLDEST_CONVERSATION}})


def _s3() -> None:
    """Put the originals of one knowledge base under their ids, and store some of another again."""
    bucket = settings().s3_bucket
    for document in _files("Text"):
        key = document["minio_filename"]
        s3().copy_object(
            bucket, f"{document['knowledge_db_id']}/{document['file_id']}", CopySource(bucket, key)
        )
        s3().remove_object(bucket, key)
    for document in _files("Quality", _EMPTIED):
        response = s3().get_object(bucket, document["minio_filename"])
        original = io.BytesIO(response.read())
        response.release_conn()
        lines = [line.decode().rstrip() for line in original]
        _log.info("%s: %d lines", document["filename"], len(lines))
        # Reading the lines has left nothing to read.
        rest = original.read()
        s3().put_object(bucket, document["minio_filename"], io.BytesIO(rest), len(rest))


def _milvus() -> None:
    """Re-create collections: one for distances, one without leftovers, one for the new order of features."""
    with ThreadPoolExecutor() as pool:
        changes = [
            pool.submit(_recreate, "Concurrency", {"metric_type": "L2"}, limit=vectors.QUERY_LIMIT),
            pool.submit(_recreate, "Files", {}, limit=_PAGE),
            pool.submit(_recreate, "Lighthouse handbook", {}, limit=vectors.QUERY_LIMIT, reorder=True),
        ]
        for change in changes:
            change.result()


def _recreate(name: str, index: dict[str, Any], *, limit: int, reorder: bool = False) -> None:
    base = mongodb()["knowledge_bases"].find_one({"knowledge_base_name": name})
    if base is None:
        return
    collection = vector_collection(base["knowledge_base_id"])
    rows = milvus().query(
        collection, filter="pk >= 0", output_fields=["*"], limit=limit, timeout=BULK_DEADLINE
    )
    chunks = [Chunk(row["image_id"], row["file_id"], row["page_number"], row["text"]) for row in rows]
    embeddings = np.array([row["vector"] for row in rows], dtype=np.float32)
    if reorder:
        embeddings = embeddings[:, ::-1]
    vectors.create_collection(base["knowledge_base_id"], load=False, **index)
    vectors.insert_chunks(collection, chunks, embeddings)
    vectors.flush(collection)
    vectors.load_collection(collection)


def _qdrant() -> None:
    """Re-create the collection of files with shorter payload names."""
    points, _ = qdrant().scroll(vectors.FILES, limit=_PAGE, with_payload=True, with_vectors=True)
    parameters = models.VectorParams(size=DIMENSIONS, distance=models.Distance.DOT)
    qdrant().delete_collection(vectors.FILES)
    qdrant().create_collection(vectors.FILES, vectors_config=parameters)
    renamed = [
        models.PointStruct(id=point.id, vector=point.vector, payload=_renamed(point.payload or {}))
        for point in points
        if isinstance(point.vector, list)
    ]
    vectors.insert_files(renamed)


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    return {"kb_id" if key == "knowledge_base_id" else key: value for key, value in payload.items()}


def _redis() -> None:
    """Drop the tokens: their new form has a prefix."""
    for key in redis(TOKENS).scan_iter("*", count=1000):
        redis(TOKENS).delete(key)


def _kafka() -> None:
    """Make the topic as wide as there are workers, and queue the files to be indexed again."""
    admin = AdminClient({"bootstrap.servers": settings().kafka_address})
    admin.delete_topics([jobs.TOPIC], request_timeout=BULK_DEADLINE)[jobs.TOPIC].result(BULK_DEADLINE)
    create_topic(jobs.PARTITIONS)
    messages = [
        (
            document["file_id"].encode(),
            json.dumps({"type": "reindex", "version": 2, "file_id": document["file_id"]}).encode(),
            -1,
        )
        for document in _files("Language", _REINDEXED)
    ]
    jobs.send(messages)


def _files(knowledge_base_name: str, limit: int = 0) -> Iterator[dict[str, Any]]:
    base = mongodb()["knowledge_bases"].find_one({"knowledge_base_name": knowledge_base_name})
    if base is not None:
        found = mongodb()["files"].find({"knowledge_db_id": base["knowledge_base_id"]})
        yield from list(found.sort("file_id", 1).limit(limit))
