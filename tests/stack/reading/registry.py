"""The stores that keep the contract. A new one gets all of it by its line here."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stack.reading.kafka import Kafka
from tests.stack.reading.milvus import Milvus
from tests.stack.reading.mongodb import Mongodb, MongodbInSmallRequests
from tests.stack.reading.mounts import Mounts
from tests.stack.reading.mysql import Mariadb, Mysql
from tests.stack.reading.postgresql import Postgresql
from tests.stack.reading.qdrant import Qdrant
from tests.stack.reading.redis import Redis
from tests.stack.reading.s3 import S3
from tests.stack.reading.subject import Subject

# A name begins with its store, in letters and digits: tests that have it share a worker.
SUBJECTS: Mapping[str, type[Subject]] = {
    "mysql": Mysql,
    "mariadb": Mariadb,
    "mongodb": Mongodb,
    "mongodb_in_small_requests": MongodbInSmallRequests,
    "redis": Redis,
    "s3": S3,
    "kafka": Kafka,
    "qdrant": Qdrant,
    "milvus": Milvus,
    "mounts": Mounts,
    "postgresql": Postgresql,
}
