"""The operators' hands on the stores of a stack: what may do anything to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import redis
from minio import Minio
from pymilvus import MilvusClient
from pymongo import MongoClient

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import UsageProblem
from fixtures.stores import milvus, mongodb, mysql, qdrant, s3
from fixtures.stores import redis as redis_view
from fixtures.stores.profiles import (
    Account,
    KafkaProfile,
    MilvusProfile,
    MongodbProfile,
    MysqlProfile,
    QdrantProfile,
    RedisProfile,
    S3Profile,
)
from fixtures.stores.reach import NOBODY, Reach
from fixtures.target import Target

SECONDS = 30.0
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Operators:
    """The operators' connections to the stores of a stack, each opened with its first use."""

    target: Target
    engine: ContainerEngine
    opened: ExitStack

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in the application's database, for good; return its rows."""
        profile = self._profile("mysql", MysqlProfile)
        with closing(mysql.connect(self._reach("mysql", profile.operator))) as connection:
            connection.select_db(profile.databases[0])
            found = mysql.rows(connection, statement, values)
            connection.commit()
        return found

    @cached_property
    def mongodb(self) -> MongoClient[dict[str, Any]]:
        """MongoDB."""
        profile = self._profile("mongodb", MongodbProfile)
        client = mongodb.connect(self._reach("mongodb", profile.operator), profile.authentication_database)
        return self.opened.enter_context(closing(client))

    @cached_property
    def redis(self) -> redis.Redis:
        """Database 0 of Redis."""
        reach = self._reach("redis", self._profile("redis", RedisProfile).operator)
        return self.opened.enter_context(closing(redis_view.connect(reach, 0)))

    @cached_property
    def milvus(self) -> MilvusClient:
        """Milvus."""
        profile = self._profile("milvus", MilvusProfile)
        client = milvus.connect(self._reach("milvus", profile.operator), profile.database)
        return self.opened.enter_context(closing(client))

    @cached_property
    def qdrant(self) -> qdrant.Rest:
        """Qdrant."""
        endpoint = self.engine.resolve(self.target.stores["qdrant"].address)
        return qdrant.Rest("qdrant", endpoint, self._profile("qdrant", QdrantProfile).operator, SECONDS)

    @cached_property
    def s3(self) -> Minio:
        """The S3 server."""
        profile = self._profile("minio", S3Profile)
        return s3.connect(self._reach("minio", profile.operator), profile.region)

    @property
    def kafka(self) -> Reach:
        """Where the broker is, and as whom: the library's clients are made for one use each."""
        return self._reach("kafka", self._profile("kafka", KafkaProfile).operator)

    def _profile(self, name: str, kind: type[Kind]) -> Kind:
        found = self.target.stores.get(name)
        if not isinstance(found, kind):
            raise UsageProblem(
                what=f"store {name}",
                expected=f"a {kind.__name__}",
                observed=type(found).__name__,
                source="the profile",
                hint="the operators know the stores of targets/staging.toml",
            )
        return found

    def _reach(self, name: str, account: Account | None = None) -> Reach:
        endpoint = self.engine.resolve(self.target.stores[name].address)
        return Reach(name, endpoint, account or NOBODY, SECONDS)


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Run `undo` at the end, however it ends."""
    try:
        yield
    finally:
        undo()
