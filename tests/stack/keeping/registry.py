"""The subjects of the contract, by the store that they are of. A new store names itself here."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stack.keeping.kafka import Kafka
from tests.stack.keeping.milvus import Milvus
from tests.stack.keeping.mongodb import Mongodb
from tests.stack.keeping.mounts import Mounts
from tests.stack.keeping.mysql import Mariadb, Mysql
from tests.stack.keeping.postgresql import Postgresql
from tests.stack.keeping.qdrant import Qdrant
from tests.stack.keeping.redis import Redis
from tests.stack.keeping.s3 import S3
from tests.stack.keeping.subject import Subject

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
