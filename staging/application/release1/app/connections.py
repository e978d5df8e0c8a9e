"""One client per store, created at first use, with a deadline on every call."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pymysql
import redis as redis_driver
import urllib3
from confluent_kafka import Producer
from minio import Minio
from pymilvus import MilvusClient
from pymongo import MongoClient
from pymongo.database import Database
from pymysql.cursors import DictCursor
from qdrant_client import QdrantClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import BULK_DEADLINE, STORE_DEADLINE, settings

MongoDocument = dict[str, Any]
TOKENS, TASKS = 0, 1
"""Redis databases: tokens, and the state of tasks."""

# The stores share a private network with the application, so plain HTTP is intended.
warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
# The driver logs each failure with its whole stack before it raises: the caller's report is enough.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
# A log line per request adds nothing to the store's own log.
logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def mysql(deadline: float = STORE_DEADLINE) -> Iterator[DictCursor]:
    """Open a connection and yield a cursor; commit at the block's end, roll back on failure.

    Each block has its own connection, because a pooled one does not survive a restart of the server.
    """
    here = settings()
    connection = pymysql.connect(
        host=here.mysql_host,
        port=here.mysql_port,
        user=here.mysql_user,
        password=here.mysql_app.get_secret_value(),
        database=here.mysql_database,
        charset="utf8mb4",
        cursorclass=DictCursor,
        connect_timeout=int(STORE_DEADLINE),
        read_timeout=deadline,
        write_timeout=deadline,
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
        connection.commit()
    finally:
        connection.close()


@cache
def mongodb() -> Database[MongoDocument]:
    """Return the application's MongoDB database."""
    here = settings()
    client: MongoClient[MongoDocument] = MongoClient(
        here.mongodb_host,
        here.mongodb_port,
        username=here.mongodb_user,
        password=here.mongodb_app.get_secret_value(),
        authSource=here.mongodb_auth_source,
        directConnection=True,
        serverSelectionTimeoutMS=int(STORE_DEADLINE * 1000),
        timeoutMS=int(STORE_DEADLINE * 1000),
        tz_aware=True,
    )
    return client[here.mongodb_database]


@cache
def redis(database: int) -> "redis_driver.Redis":
    """Return Redis database `TOKENS` or `TASKS`."""
    here = settings()
    return redis_driver.Redis(
        host=here.redis_host,
        port=here.redis_port,
        db=database,
        username=here.redis_user,
        password=here.redis_app.get_secret_value(),
        decode_responses=True,
        socket_timeout=STORE_DEADLINE,
        socket_connect_timeout=STORE_DEADLINE,
        # One retry: a connection dropped by a server's restart only shows in use. None after a timeout: it
        # would double the deadline.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis_driver.ConnectionError,)),
    )


@cache
def s3() -> Minio:
    """Return the S3 client."""
    here = settings()
    return Minio(
        here.s3_endpoint,
        here.s3_access_key,
        here.s3_app.get_secret_value(),
        secure=False,
        region=here.s3_region,
        http_client=urllib3.PoolManager(
            maxsize=32,
            timeout=urllib3.Timeout(connect=STORE_DEADLINE, read=STORE_DEADLINE),
            retries=urllib3.Retry(total=1, backoff_factor=0.1),
        ),
    )


@cache
def milvus() -> MilvusClient:
    """Return the Milvus client; each call takes its own deadline."""
    here = settings()
    return MilvusClient(
        uri=here.milvus_uri,
        user=here.milvus_user,
        password=here.milvus_app.get_secret_value(),
        timeout=STORE_DEADLINE,
    )


@cache
def qdrant() -> QdrantClient:
    """Return the Qdrant client."""
    here = settings()
    return QdrantClient(
        url=here.qdrant_url,
        api_key=here.qdrant_operator.get_secret_value(),
        timeout=int(BULK_DEADLINE),
        check_compatibility=False,
    )


@cache
def producer() -> Producer:
    """Return the Kafka producer."""
    return Producer(
        {
            "bootstrap.servers": settings().kafka_address,
            "message.timeout.ms": int(STORE_DEADLINE * 1000),
            "socket.timeout.ms": int(STORE_DEADLINE * 1000),
            "linger.ms": 5,
        }
    )
