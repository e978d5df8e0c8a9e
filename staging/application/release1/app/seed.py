"""Fill empty stores with a population. `python -m app.seed --scale 1`, before the worker first starts.

It writes to the stores directly and in bulk.
"""

import argparse
import hmac
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bson import ObjectId
from confluent_kafka import Consumer, TopicPartition

from app import access, accounts, canary, corpus, jobs, library, migrate, objects, population, vectors
from app.connections import TASKS, TOKENS, mongodb, mysql, redis
from app.embedding import centroid
from app.identity import stable_id, stable_uuid, vector_collection
from app.ingestion import Ingested, prepare
from app.passwords import hash_password
from app.population import KnowledgeBase
from app.routes.config import BaseUsed, ModelSettings
from app.settings import BULK_DEADLINE, settings

CORPUS = Path("/opt/application/corpus.json.gz")
_BATCH = 1000
_COLLECTIONS_AT_ONCE, _WRITERS = 16, 8
_SIGNED_IN, _TASKS_KEPT = 20, 10
_TURN_WORDS = 25


def seed(scale: float, documents: list[corpus.Document]) -> dict[str, int]:
    """Fill every store; return the counts of users, knowledge bases, files and chunks.

    The stores must be empty: to seed twice would mix two populations.
    """
    migrate.migrate()
    users = [canary.USERNAME, *population.usernames(scale)]
    bases = list(population.knowledge_bases(documents, scale))
    ready = {
        file.job.file_id: prepare(
            file.job,
            file.text.encode(),
            file.created_at,
            objects.url(file.job.minio_filename, file.created_at),
        )
        for base in bases
        for file in base.files
    }
    with ThreadPoolExecutor(_COLLECTIONS_AT_ONCE) as waiting, ThreadPoolExecutor(_WRITERS) as writing:
        # Milvus takes seconds to seal and load a collection, however small: they all wait side by side.
        tasks = [waiting.submit(_milvus, base, ready) for base in bases]
        tasks += [
            writing.submit(_mysql, users, ready),
            writing.submit(_qdrant, bases, ready),
            writing.submit(_mongodb, users, bases, ready),
            writing.submit(_redis, users, bases),
            writing.submit(_kafka, bases),
        ]
        tasks += [
            writing.submit(objects.put, file.job.minio_filename, file.text.encode())
            for base in bases
            for file in base.files
        ]
        for task in tasks:
            task.result()
    return {
        "users": len(users),
        "knowledge_bases": len(bases),
        "files": len(ready),
        "chunks": sum(len(one.chunks) for one in ready.values()),
    }


def password_of(username: str) -> str:
    """Return a seeded user's password: the canary's secret, or one derived from it that nobody can guess.

    Raises:
        LookupError: The canary's secret is missing.
    """
    secret = settings().canary_password
    if secret is None:
        raise LookupError("canary_password: expected a secret, observed none (from /run/secrets)")
    if username == canary.USERNAME:
        return secret.get_secret_value()
    return hmac.digest(secret.get_secret_value().encode(), username.encode(), "sha256").hex()


def _mysql(users: list[str], ready: dict[str, Ingested]) -> None:
    rows = [
        (name, f"{name}@example.org", hash_password(password_of(name), stable_uuid("salt", name).bytes))
        for name in users
    ]
    with mysql(BULK_DEADLINE) as cursor:
        cursor.executemany("INSERT INTO users (username, email, hashed_password) VALUES (%s, %s, %s)", rows)
    accounts.record_documents([one.record for one in ready.values()])


def _mongodb(users: list[str], bases: list[KnowledgeBase], ready: dict[str, Ingested]) -> None:
    database = mongodb()
    listed = ("file_id", "filename", "minio_filename", "minio_url", "created_at")
    database["knowledge_bases"].insert_many(
        {
            "_id": _object_id(base.knowledge_base_id),
            "knowledge_base_id": base.knowledge_base_id,
            "knowledge_base_name": base.name,
            "username": base.username,
            "files": [{key: ready[file.job.file_id].document[key] for key in listed} for file in base.files],
            "created_at": base.created_at,
            "last_modify_at": base.files[-1].created_at,
            "is_delete": False,
        }
        for base in bases
    )
    documents = [{"_id": _object_id(key), **one.document} for key, one in ready.items()]
    for start in range(0, len(documents), _BATCH):
        database["files"].insert_many(documents[start : start + _BATCH])
    models = {name: _model(name, bases) for name in users}
    database["model_config"].insert_many(
        {"_id": _object_id("model", name), **library.new_model_config(name, model)}
        for name, model in models.items()
    )
    database["conversations"].insert_many(
        _conversation(base, number, models[base.username]) for base in bases for number in range(4)
    )


def _model(username: str, bases: list[KnowledgeBase]) -> dict[str, Any]:
    used = [
        BaseUsed(name=base.name, baseId=base.knowledge_base_id) for base in bases if base.username == username
    ]
    return ModelSettings(model_id=stable_id(username, "model"), base_used=used).model_dump()


def _conversation(base: KnowledgeBase, number: int, model: dict[str, Any]) -> dict[str, Any]:
    conversation_id = stable_id(base.username, base.knowledge_base_id, "conversation", number)
    turns: list[dict[str, Any]] = []
    for file in base.files[number : number + 2]:
        answer = " ".join(file.text.split()[:_TURN_WORDS])
        turns.append(
            {
                "message_id": str(stable_uuid(conversation_id, file.job.file_id)),
                "parent_message": turns[-1]["message_id"] if turns else "",
                "user_message": {"role": "user", "content": f"What is {file.job.filename} about?"},
                "ai_message": {"role": "assistant", "content": answer},
                "temp_db": "",
                "file_used": [{"knowledge_db_id": base.knowledge_base_id, "file_id": file.job.file_id}],
                "status": "completed",
                "timestamp": int(file.created_at.timestamp()),
                "prompt_tokens": 4,
                "completion_tokens": len(answer.split()),
                "total_token": 4 + len(answer.split()),
            }
        )
    return {
        "_id": _object_id(conversation_id),
        "conversation_id": conversation_id,
        "username": base.username,
        "conversation_name": f"{base.name}, {number + 1}",
        "model_config": model,
        "turns": turns,
        "created_at": base.created_at,
        "last_modify_at": base.created_at + timedelta(hours=1),
        "is_delete": False,
    }


def _milvus(base: KnowledgeBase, ready: dict[str, Ingested]) -> None:
    name = vector_collection(base.knowledge_base_id)
    vectors.create_collection(base.knowledge_base_id, load=False)
    files = [ready[file.job.file_id] for file in base.files]
    chunks = [chunk for one in files for chunk in one.chunks]
    embeddings = np.concatenate([one.embeddings for one in files])
    for start in range(0, len(chunks), _BATCH):
        vectors.insert_chunks(name, chunks[start : start + _BATCH], embeddings[start : start + _BATCH])
    vectors.flush(name)
    vectors.load_collection(name)


def _qdrant(bases: list[KnowledgeBase], ready: dict[str, Ingested]) -> None:
    points = [
        vectors.file_point(
            file.job.file_id,
            base.knowledge_base_id,
            file.job.filename,
            centroid(ready[file.job.file_id].embeddings),
        )
        for base in bases
        for file in base.files
    ]
    for start in range(0, len(points), _BATCH):
        vectors.insert_files(points[start : start + _BATCH])


def _redis(users: list[str], bases: list[KnowledgeBase]) -> None:
    tokens, tasks = redis(TOKENS).pipeline(), redis(TASKS).pipeline()
    for name in users[1 : 1 + _SIGNED_IN]:
        token = access.issue_token(name)
        tokens.set(f"token:{token}", name, ex=access.LIFETIME)
        tokens.set(f"user:{name}", token, ex=access.LIFETIME)
    for base in bases[:_TASKS_KEPT]:
        job = base.files[-1].job
        state: dict[jobs.Field, jobs.Field] = {
            "status": "completed",
            "username": job.username,
            "total": 1,
            "processed": 1,
            "message": "Done",
        }
        tasks.hset(f"task:{job.task_id}", mapping=state)
        tasks.expire(f"task:{job.task_id}", jobs.TASK_SECONDS)
    tokens.execute()
    tasks.execute()


def _kafka(bases: list[KnowledgeBase]) -> None:
    """Write the history: one processed message for each file."""
    history = [file.job for base in bases for file in base.files]
    messages = [
        (job.file_id.encode(), jobs.encode(job), number % jobs.PARTITIONS)
        for number, job in enumerate(history)
    ]
    for start in range(0, len(messages), _BATCH):
        jobs.send(messages[start : start + _BATCH])
    processed = [
        TopicPartition(jobs.TOPIC, partition, len(range(partition, len(messages), jobs.PARTITIONS)))
        for partition in range(jobs.PARTITIONS)
    ]
    consumer = Consumer({"bootstrap.servers": settings().kafka_address, "group.id": jobs.GROUP})
    try:
        consumer.commit(offsets=processed, asynchronous=False)
    finally:
        consumer.close()


def _object_id(*parts: object) -> ObjectId:
    return ObjectId(stable_uuid("document", *parts).hex[:24])


def main() -> int:
    """Seed at the command line's scale; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1: 500 users, 2,900 files, 20,000 chunks")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="file that app.corpus wrote")
    options = parser.parse_args()
    if not options.scale > 0:
        parser.error(f"--scale: expected a number above 0, observed {options.scale}")
    started = time.monotonic()
    written = seed(options.scale, corpus.load(options.corpus))
    print(json.dumps({**written, "seconds": round(time.monotonic() - started, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
