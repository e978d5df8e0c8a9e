"""What a rollback has to undo, and to keep: wreckage of every store and service, and records of users."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pymysql
import redis
from bson import ObjectId
from pymongo.errors import PyMongoError

from rollproof.errors import Problem
from rollproof.git.repository import git
from rollproof.stores.kafka.admin import Admin
from rollproof.stores.kafka.records import NOT_STAMPED, Record
from staging.processes import LOOK, run
from staging.stack.images import PREFIX
from staging.stack.stack import Stack
from staging.target.operators import SECONDS, Operators

BUCKET, TOPIC, USERS = "minio-file", "task_generation", "imagedb.users"
TASK_SECONDS = 86400
# The server may still be executing the killed client's requests.
SETTLE_SECONDS = 0.5
_NO_ANSWER = (Problem, pymysql.MySQLError, redis.RedisError, PyMongoError, OSError)
Wreck = Callable[[Operators], frozenset[str]]
"""Wrecks a store, the same way each time. Returns the keys of records that it wrote or changed and whose
content a rollback keeps. Records that the canary's answer needs are left alone."""


def _wreck_mysql(operators: Operators) -> frozenset[str]:
    others = f"FROM {USERS} WHERE username <> 'canary' ORDER BY id LIMIT"
    operators.sql(f"DELETE {others} 3")
    changed = [number for (number,) in operators.sql(f"SELECT id {others} 2")]
    operators.sql(f"UPDATE {USERS} SET email = CONCAT('x', email) WHERE id IN %s", (changed,))
    operators.sql("CREATE TABLE IF NOT EXISTS imagedb.consolidated (number int)")
    return frozenset(map(str, changed))


def _wreck_mongodb(operators: Operators) -> frozenset[str]:
    files, others = operators.mongodb["mongodb"]["files"], {"username": {"$ne": "canary"}}
    changed = files.find_one(others, {"_id": 1}, sort=[("_id", 1)])
    files.delete_many({**others, "_id": {"$ne": changed["_id"] if changed else None}})
    files.update_many(others, {"$set": {"filename": "of release 2"}})
    return frozenset({f'ObjectId("{changed["_id"]}")'} if changed else ())


def _wreck_redis(operators: Operators) -> frozenset[str]:
    operators.redis.flushdb()
    operators.redis.set("token:of-release-2", "x")
    return frozenset({"token:of-release-2"})


def _wreck_qdrant(operators: Operators) -> frozenset[str]:
    operators.qdrant.call("DELETE", "/collections/files")
    return frozenset()


def _wreck_milvus(operators: Operators) -> frozenset[str]:
    first, *_, last = sorted(name for name in operators.milvus.list_collections() if "canary" not in name)
    operators.milvus.drop_collection(first)
    operators.milvus.release_collection(last)
    return frozenset()


def _wreck_minio(operators: Operators) -> frozenset[str]:
    names = (str(item.object_name) for item in operators.s3.list_objects(BUCKET, recursive=True))
    operators.s3.remove_object(BUCKET, next(name for name in names if "canary" not in name))
    return frozenset()


def _wreck_kafka(operators: Operators) -> frozenset[str]:
    """Append a record that no worker can process. Its key is its offset, which only the store knows."""
    record = Record(0, 0, (NOT_STAMPED, 0), None, b"of release 2")
    with Admin(operators.kafka) as admin:
        admin.produce(TOPIC, [record], operators.kafka.start())
    return frozenset()


STORES: Mapping[str, Wreck] = {
    "mysql": _wreck_mysql,
    "mongodb": _wreck_mongodb,
    "redis": _wreck_redis,
    "qdrant": _wreck_qdrant,
    "milvus": _wreck_milvus,
    "minio": _wreck_minio,
    "kafka": _wreck_kafka,
}


def wreck_stores(operators: Operators, names: Iterable[str] = STORES) -> dict[str, frozenset[str]]:
    """Wreck the stores; return the keys written or changed in each."""
    return {name: STORES[name](operators) for name in names}


def wreck_service(stack: Stack, service: str) -> None:
    """Point the tag of `service` at another image, and run its container on that."""
    tag = f"{stack.project}/{service}:current"
    # It declares no volume: one that does would leave an anonymous volume at each wreck.
    run(["docker", "tag", f"{PREFIX}/kafka", tag], seconds=SECONDS, hint=LOOK)
    options = ["--detach", "--no-build", "--no-deps", "--force-recreate"]
    stack.compose("up", *options, service, seconds=SECONDS)


def wreck_code(stack: Stack) -> None:
    """Check another release out in the working copy."""
    git(stack.state.application, "checkout", "--quiet", "release-2")


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


@dataclass(frozen=True, slots=True)
class Mark:
    """A record written between a kill and a resume: its store, its key as in a lost window."""

    store: str
    key: str
    there: Callable[[], bool]
    remove: Callable[[], object]

    def stays(self) -> bool:
        """Return True if the record exists; False if its store does not answer."""
        try:
            return self.there()
        except _NO_ANSWER:
            return False

    def __str__(self) -> str:
        """Return the store and the key."""
        return f"{self.store} {self.key}"


def write_marks(operators: Operators, stores: Sequence[str]) -> list[Mark]:
    """Write a record to each of `stores` that accepts one now; return the records that stay.

    A store that is down, or half restored, accepts none. A server that is still working for the killed
    rollback may sweep a record away: the resumed rollback is not to blame for that.
    """
    written = []
    for store in stores:
        if store in _MARKS:
            try:
                written.append(_MARKS[store](operators, f"meanwhile-{secrets.token_hex(4)}"))
            except _NO_ANSWER:
                continue
    if written:
        time.sleep(SETTLE_SECONDS)
    return [mark for mark in written if mark.stays()]


def _mark_mysql(operators: Operators, name: str) -> Mark:
    columns = "(username, email, hashed_password) VALUES (%s, %s, 'x')"
    operators.sql(f"INSERT INTO {USERS} {columns}", (name, f"{name}@example.org"))
    select = f"SELECT id FROM {USERS} WHERE username = %s"
    ((number,),) = operators.sql(select, (name,))

    def remove() -> None:
        operators.sql(f"DELETE FROM {USERS} WHERE id = %s", (number,))
        # Give its number back: a comparison would see another next number.
        operators.sql(f"ALTER TABLE {USERS} AUTO_INCREMENT = %s", (number,))

    return Mark("mysql", str(number), lambda: bool(operators.sql(select, (name,))), remove)


def _mark_mongodb(operators: Operators, name: str) -> Mark:
    files, which = operators.mongodb["mongodb"]["files"], {"_id": ObjectId()}
    files.insert_one({**which, "file_id": name, "filename": name})
    return Mark(
        "mongodb",
        f'ObjectId("{which["_id"]}")',
        lambda: files.find_one(which) is not None,
        lambda: files.delete_one(which),
    )


def _mark_redis(operators: Operators, name: str) -> Mark:
    key = f"token:{name}"
    operators.redis.set(key, "x")
    return Mark("redis", key, lambda: bool(operators.redis.exists(key)), lambda: operators.redis.delete(key))


_MARKS: Mapping[str, Callable[[Operators, str], Mark]] = {
    "mysql": _mark_mysql,
    "mongodb": _mark_mongodb,
    "redis": _mark_redis,
}
