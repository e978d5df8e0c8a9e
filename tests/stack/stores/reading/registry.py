"""The stores that keep the contract. A new one gets all of it by its line here."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stack.stores.reading.kafka import Kafka
from tests.stack.stores.reading.milvus import Milvus
from tests.stack.stores.reading.mongodb import Mongodb, MongodbInSmallRequests
from tests.stack.stores.reading.mounts import Mounts
from tests.stack.stores.reading.mysql import Mariadb, Mysql
from tests.stack.stores.reading.postgresql import Postgresql
from tests.stack.stores.reading.qdrant import Qdrant
from tests.stack.stores.reading.redis import Redis
from tests.stack.stores.reading.s3 import S3
from tests.stack.stores.reading.subject import Subject

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
