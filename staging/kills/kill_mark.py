"""Marks: records that are written between a kill and a resume, as a user might write them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pymysql
import redis
from bson import ObjectId
from pymongo.errors import PyMongoError

from rollproof.errors import Problem
from staging.target.operators import Operators

# The server may still be executing the killed client's requests.
SETTLE_SECONDS = 0.5
_NO_ANSWER = (Problem, pymysql.MySQLError, redis.RedisError, PyMongoError, OSError)


@dataclass(frozen=True, slots=True)
class Mark:
    """One record: its store, its key as in a lost window, a test whether it exists, and its removal."""

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
    users, address = "imagedb.users", f"{name}@example.org"
    operators.sql(
        f"INSERT INTO {users} (username, email, hashed_password) VALUES (%s, %s, 'x')",  # noqa: S608 - a constant
        (name, address),
    )
    ((number,),) = operators.sql(f"SELECT id FROM {users} WHERE username = %s", (name,))  # noqa: S608 - a constant

    def remove() -> None:
        operators.sql(f"DELETE FROM {users} WHERE id = %s", (number,))  # noqa: S608 - a constant
        # Give its number back: a comparison would see another next number.
        operators.sql(f"ALTER TABLE {users} AUTO_INCREMENT = %s", (number,))

    return Mark(
        "mysql",
        str(number),
        lambda: bool(operators.sql(f"SELECT 1 FROM {users} WHERE username = %s", (name,))),  # noqa: S608 - a constant
        remove,
    )


def _mark_mongodb(operators: Operators, name: str) -> Mark:
    files, number = operators.mongodb["mongodb"]["files"], ObjectId()
    files.insert_one({"_id": number, "file_id": name, "filename": name})
    return Mark(
        "mongodb",
        f'ObjectId("{number}")',
        lambda: files.find_one({"_id": number}) is not None,
        lambda: files.delete_one({"_id": number}),
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
