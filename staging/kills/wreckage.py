"""What a rollback has to put right: wreckage of every store and of services, made quickly and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import Producer

from fixtures.stores.kafka import settings
from staging.operators import SECONDS, Operators
from staging.processes import run
from staging.stack import Stack

BUCKET, TOPIC = "minio-file", "task_generation"
TASK_SECONDS = 86400


Wreck = Callable[[Operators], frozenset[str]]
"""Wrecks a store, the same way each time; returns the keys of the records that it wrote or changed, of which
a rollback keeps the content. What the canary needs to be answered is left alone."""


def wreck_mysql(operators: Operators) -> frozenset[str]:
    """Rows are gone and changed, and there is a table more."""
    others = "FROM imagedb.users WHERE username <> 'canary' ORDER BY id LIMIT"
    operators.sql(f"DELETE {others} 3")
    changed = [number for (number,) in operators.sql(f"SELECT id {others} 2")]
    operators.sql("UPDATE imagedb.users SET email = CONCAT('x', email) WHERE id IN %s", (changed,))
    operators.sql("CREATE TABLE IF NOT EXISTS imagedb.consolidated (number int)")
    return frozenset(map(str, changed))


def wreck_mongodb(operators: Operators) -> frozenset[str]:
    """Documents are gone, and one is changed."""
    files = operators.mongodb["mongodb"]["files"]
    others = {"username": {"$ne": "canary"}}
    changed = files.find_one(others, {"_id": 1}, sort=[("_id", 1)])
    files.delete_many({**others, "_id": {"$ne": changed["_id"] if changed else None}})
    files.update_many(others, {"$set": {"filename": "of release 2"}})
    return frozenset({str(changed["_id"])} if changed else ())


def wreck_redis(operators: Operators) -> frozenset[str]:
    """Every key is gone, and there is another."""
    operators.redis.flushdb()
    key = "token:of-release-2"
    operators.redis.set(key, "x")
    return frozenset({key})


def wreck_qdrant(operators: Operators) -> frozenset[str]:
    """A collection is gone."""
    operators.qdrant.call("DELETE", "/collections/files")
    return frozenset()


def wreck_milvus(operators: Operators) -> frozenset[str]:
    """A collection is gone."""
    names = operators.milvus.list_collections()
    operators.milvus.drop_collection(min(name for name in names if "canary" not in name))
    return frozenset()


def wreck_minio(operators: Operators) -> frozenset[str]:
    """An object is gone."""
    names = (str(item.object_name) for item in operators.s3.list_objects(BUCKET, recursive=True))
    operators.s3.remove_object(BUCKET, next(name for name in names if "canary" not in name))
    return frozenset()


def wreck_kafka(operators: Operators) -> frozenset[str]:
    """A log has one record more, which no worker can process."""
    producer = Producer(settings(operators.kafka))
    producer.produce(TOPIC, value=b"of release 2", partition=0)
    producer.flush(SECONDS)
    # Its offset, the key of a record of a log, is the store's to say.
    return frozenset()


STORES: Mapping[str, Wreck] = {
    "mysql": wreck_mysql,
    "mongodb": wreck_mongodb,
    "redis": wreck_redis,
    "qdrant": wreck_qdrant,
    "milvus": wreck_milvus,
    "minio": wreck_minio,
    "kafka": wreck_kafka,
}


def wreck_stores(operators: Operators, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Wreck stores; return what was written or changed in each."""
    return {name: STORES[name](operators) for name in names}


def wreck_all(operators: Operators) -> None:
    """Wreck every store."""
    wreck_stores(operators, STORES)


def lengthen_tasks(operators: Operators) -> None:
    """Let no task expire while a walk lasts: counts of records would differ between its rollbacks."""
    with operators.redis.pipeline() as pipeline:
        pipeline.select(1)
        pipeline.keys("*")
        pipeline.select(0)
        _, keys, _ = pipeline.execute()
        pipeline.select(1)
        for key in keys:
            pipeline.expire(key, TASK_SECONDS, xx=True)
        pipeline.select(0)
        pipeline.execute()


def wreck_service(stack: Stack, service: str) -> None:
    """The tag of `service` means another image, and its container runs on it."""
    hint = "look at the stack: docker ps"
    other = "rollproof-staging/redis"
    run(["docker", "tag", other, f"rollproof-staging/{service}:current"], seconds=SECONDS, hint=hint)
    options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
    stack.compose("up", *options, service, seconds=SECONDS, hint=hint)
