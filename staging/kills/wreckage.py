"""What a rollback has to put right: wreckage of every store and of services, made quickly and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from confluent_kafka import Producer

from fixtures.stores.kafka import settings
from staging.operators import SECONDS, Operators
from staging.processes import run
from staging.stack import Stack

BUCKET, TOPIC = "minio-file", "task_generation"


def wreck_mysql(operators: Operators) -> None:
    """Rows are gone and changed, and there is a table more."""
    operators.sql("DELETE FROM imagedb.users WHERE username <> 'canary' LIMIT 3")
    operators.sql("UPDATE imagedb.users SET email = CONCAT('x', email) WHERE username <> 'canary' LIMIT 2")
    operators.sql("CREATE TABLE IF NOT EXISTS imagedb.consolidated (number int)")


def wreck_mongodb(operators: Operators) -> None:
    """Documents are gone, but for those of the canary."""
    operators.mongodb["mongodb"]["files"].delete_many({"filename": {"$ne": "lamp.txt"}})


def wreck_redis(operators: Operators) -> None:
    """Every key is gone, and there is another."""
    operators.redis.flushdb()
    operators.redis.set("token:of-release-2", "x")


def wreck_qdrant(operators: Operators) -> None:
    """A collection is gone."""
    operators.qdrant.call("DELETE", "/collections/files")


def wreck_milvus(operators: Operators) -> None:
    """A collection is gone."""
    operators.milvus.drop_collection(min(operators.milvus.list_collections()))


def wreck_minio(operators: Operators) -> None:
    """An object is gone."""
    first = next(iter(operators.s3.list_objects(BUCKET, recursive=True)))
    operators.s3.remove_object(BUCKET, str(first.object_name))


def wreck_kafka(operators: Operators) -> None:
    """A log has one record more, which no worker can process."""
    producer = Producer(settings(operators.kafka))
    producer.produce(TOPIC, value=b"of release 2", partition=0)
    producer.flush(SECONDS)


STORES: Mapping[str, Callable[[Operators], None]] = {
    "mysql": wreck_mysql,
    "mongodb": wreck_mongodb,
    "redis": wreck_redis,
    "qdrant": wreck_qdrant,
    "milvus": wreck_milvus,
    "minio": wreck_minio,
    "kafka": wreck_kafka,
}


def wreck_all(operators: Operators) -> None:
    """Wreck every store."""
    for wreck in STORES.values():
        wreck(operators)


def wreck_service(stack: Stack, service: str) -> None:
    """The tag of `service` means another image, and its container runs on it."""
    hint = "look at the stack: docker ps"
    other = "rollproof-staging/redis"
    run(["docker", "tag", other, f"rollproof-staging/{service}:current"], seconds=SECONDS, hint=hint)
    options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
    stack.compose("up", *options, service, seconds=SECONDS, hint=hint)
