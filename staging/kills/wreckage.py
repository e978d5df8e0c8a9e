"""The damage that a rollback has to undo: quick, repeatable wreckage of every store and of services."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping

from rollproof.git.repository import git
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.records import NOT_STAMPED, Record
from staging.machine.processes import run
from staging.stack.stack import Stack
from staging.stack.store_images import PREFIX
from staging.target.operators import SECONDS, Operators

BUCKET, TOPIC = "minio-file", "task_generation"
TASK_SECONDS = 86400


Wreck = Callable[[Operators], frozenset[str]]
"""Wrecks a store, the same way each time. Returns the keys of records that it wrote or changed and whose
content a rollback keeps. Records that the canary's answer needs are left alone."""


def wreck_mysql(operators: Operators) -> frozenset[str]:
    """Delete rows, change rows, and add a table."""
    others = "FROM imagedb.users WHERE username <> 'canary' ORDER BY id LIMIT"
    operators.sql(f"DELETE {others} 3")
    changed = [number for (number,) in operators.sql(f"SELECT id {others} 2")]
    operators.sql("UPDATE imagedb.users SET email = CONCAT('x', email) WHERE id IN %s", (changed,))
    operators.sql("CREATE TABLE IF NOT EXISTS imagedb.consolidated (number int)")
    return frozenset(map(str, changed))


def wreck_mongodb(operators: Operators) -> frozenset[str]:
    """Delete documents, and change one."""
    files = operators.mongodb["mongodb"]["files"]
    others = {"username": {"$ne": "canary"}}
    changed = files.find_one(others, {"_id": 1}, sort=[("_id", 1)])
    files.delete_many({**others, "_id": {"$ne": changed["_id"] if changed else None}})
    files.update_many(others, {"$set": {"filename": "of release 2"}})
    return frozenset({f'ObjectId("{changed["_id"]}")'} if changed else ())


def wreck_redis(operators: Operators) -> frozenset[str]:
    """Delete every key, and add another."""
    operators.redis.flushdb()
    key = "token:of-release-2"
    operators.redis.set(key, "x")
    return frozenset({key})


def wreck_qdrant(operators: Operators) -> frozenset[str]:
    """A collection is gone."""
    operators.qdrant.call("DELETE", "/collections/files")
    return frozenset()


def wreck_milvus(operators: Operators) -> frozenset[str]:
    """A collection is gone, and another one is not loaded."""
    first, *_, last = sorted(name for name in operators.milvus.list_collections() if "canary" not in name)
    operators.milvus.drop_collection(first)
    operators.milvus.release_collection(last)
    return frozenset()


def wreck_minio(operators: Operators) -> frozenset[str]:
    """Delete an object."""
    names = (str(item.object_name) for item in operators.s3.list_objects(BUCKET, recursive=True))
    operators.s3.remove_object(BUCKET, next(name for name in names if "canary" not in name))
    return frozenset()


def wreck_kafka(operators: Operators) -> frozenset[str]:
    """Append a record to a log that no worker can process."""
    value = base64.b64encode(b"of release 2").decode()
    record = Record(partition=0, offset=0, timestamp=(NOT_STAMPED, 0), key=None, value=value, headers=[])
    with Admin(operators.kafka) as admin:
        admin.produce(TOPIC, [record], operators.kafka.start())
    # A log's record is keyed by its offset, which only the store knows.
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
    """Wreck the stores; return the keys written or changed in each."""
    return {name: STORES[name](operators) for name in names}


def wreck_all(operators: Operators) -> None:
    """Wreck every store."""
    wreck_stores(operators, STORES)


def lengthen_tasks(operators: Operators) -> None:
    """Keep tasks from expiring during a walk: their expiry would change the counts between rollbacks."""
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
    """Point the tag of `service` at another image, and run its container on that."""
    hint = "look at the stack: docker ps"
    other = f"{PREFIX}/redis"
    run(["docker", "tag", other, f"{stack.project}/{service}:current"], seconds=SECONDS, hint=hint)
    options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
    stack.compose("up", *options, service, seconds=SECONDS, hint=hint)


def wreck_code(stack: Stack) -> None:
    """Check another release out in the working copy."""
    git(stack.state.application, "checkout", "--quiet", "release-2")
