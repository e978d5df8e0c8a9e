"""The subjects of the contract, by the store that they are of. A new store names itself here."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stack.stores.keeping.kafka import Kafka
from tests.stack.stores.keeping.milvus import Milvus
from tests.stack.stores.keeping.mongodb import Mongodb
from tests.stack.stores.keeping.mounts import Mounts
from tests.stack.stores.keeping.mysql import Mariadb, Mysql
from tests.stack.stores.keeping.postgresql import Postgresql
from tests.stack.stores.keeping.qdrant import Qdrant
from tests.stack.stores.keeping.redis import Redis
from tests.stack.stores.keeping.s3 import S3
from tests.stack.stores.keeping.subject import Subject

SUBJECTS: Mapping[str, type[Subject]] = {
    "mysql": Mysql,
    "mariadb": Mariadb,
    "mongodb": Mongodb,
    "redis": Redis,
    "qdrant": Qdrant,
    "milvus": Milvus,
    "s3": S3,
    "kafka": Kafka,
    "mounts": Mounts,
    "postgresql": Postgresql,
}
