"""The operators' connections to a stack's stores, with accounts that may do everything."""

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
from redis.connection import Connection

from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import UsageProblem
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.milvus import client as milvus
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.mongodb import client as mongodb
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.postgresql import client as postgresql
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.qdrant import client as qdrant
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import NOBODY, Reach, account_of
from rollproof.stores.redis import client as redis_view
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.registry import endpoint_of
from rollproof.stores.s3 import client as s3
from rollproof.stores.s3.descriptor import S3Profile

SECONDS = 30.0
IDLE_SECONDS = 0.5
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Operators:
    """The operators' connections to a stack's stores, each opened at its first use."""

    target: Target
    engine: ContainerEngine
    opened: ExitStack

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in the application's database and commit it; return its rows."""
        profile = self._profile("mysql", MysqlProfile)
        with closing(mysql.Mysql(self._reach("mysql", profile.operator)).connect()) as connection:
            connection.select_db(profile.databases[0])
            found = mysql.rows(connection, statement, values)
            connection.commit()
        return found

    def postgresql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement in the application's database; return its rows."""
        profile = self._profile("postgresql", PostgresqlProfile)
        reach = self._reach("postgresql", profile.operator)
        with closing(postgresql.Postgresql(reach, profile.databases[0]).connect()) as session:
            return postgresql.rows(session, statement)

    @cached_property
    def mongodb(self) -> MongoClient[dict[str, Any]]:
        """MongoDB."""
        profile = self._profile("mongodb", MongodbProfile)
        reach = self._reach("mongodb", profile.operator)
        # Whoever stays connected while another process rolls back is a writer there.
        # The driver looks for idle connections at its heartbeat, which has at least 500 ms.
        idle: dict[str, Any] = {"maxIdleTimeMS": int(IDLE_SECONDS * 1000), "heartbeatFrequencyMS": 500}
        client = mongodb.connect(reach, profile.authentication_database, **idle)
        return self.opened.enter_context(closing(client))

    @cached_property
    def redis(self) -> redis.Redis:
        """Database 0 of Redis."""
        reach = self._reach("redis", self._profile("redis", RedisProfile).operator)
        client = self.opened.enter_context(closing(redis_view.Redis(reach, 0).connect()))
        pool = client.connection_pool
        keep = pool.release

        def release(connection: Connection) -> None:
            connection.disconnect()  # type: ignore[no-untyped-call]
            keep(connection)

        pool.release = release  # type: ignore[method-assign]
        return client

    @cached_property
    def milvus(self) -> MilvusClient:
        """Milvus."""
        profile = self._profile("milvus", MilvusProfile)
        client = milvus.Milvus(self._reach("milvus", profile.operator), profile.database).connect()
        return self.opened.enter_context(closing(client))

    @cached_property
    def qdrant(self) -> qdrant.Rest:
        """Qdrant."""
        endpoint = endpoint_of(self.target.stores["qdrant"], self.engine)
        account = account_of(self._profile("qdrant", QdrantProfile).operator)
        return qdrant.Rest(Reach("qdrant", endpoint, account, SECONDS))

    @cached_property
    def s3(self) -> Minio:
        """The S3 server."""
        profile = self._profile("minio", S3Profile)
        return s3.S3(self._reach("minio", profile.operator), profile.region).connect()

    @property
    def kafka(self) -> Reach:
        """The broker's address and account: the library's clients are made for one use each."""
        return self._reach("kafka", self._profile("kafka", KafkaProfile).operator)

    def _profile(self, name: str, kind: type[Kind]) -> Kind:
        found = self.target.stores.get(name)
        if not isinstance(found, kind):
            raise UsageProblem(
                what=f"store {name}",
                expected=f"a {kind.__name__}",
                observed=type(found).__name__,
                source="the profile",
                hint="the operators know the stores of the profiles in staging/profiles",
            )
        return found

    def _reach(self, name: str, account: Account | None = None) -> Reach:
        endpoint = endpoint_of(self.target.stores[name], self.engine)
        return Reach(name, endpoint, account or NOBODY, SECONDS)


@contextmanager
def operators_of(target: Target) -> Iterator[Operators]:
    """Provide the operators' connections to a target's stores; close them at the end."""
    with ExitStack() as opened:
        yield Operators(target, open_engine(target.engine), opened)


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Run `undo` at the end of the block, however it ends."""
    try:
        yield
    finally:
        undo()
