"""The stores that hold the contracts. A new one gets all of both by its line here."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stack.stores.kafka import Kafka
from tests.stack.stores.milvus import Milvus
from tests.stack.stores.mongodb import Mongodb, MongodbInSmallRequests
from tests.stack.stores.mounts import Mounts
from tests.stack.stores.mysql import Mariadb, Mysql
from tests.stack.stores.postgresql import Postgresql
from tests.stack.stores.qdrant import Qdrant
from tests.stack.stores.redis import Redis
from tests.stack.stores.s3 import S3
from tests.stack.stores.subject import Subject

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
