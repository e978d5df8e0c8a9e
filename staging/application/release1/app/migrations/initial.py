"""The first shape of every store."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app import jobs, library, objects, vectors
from app.connections import mysql
from app.settings import BULK_DEADLINE, settings

REVISION = "4f1c8a90d2b7"

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS users (
        id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        username VARCHAR(50) NOT NULL,
        email VARCHAR(100) NOT NULL,
        hashed_password VARCHAR(100) NOT NULL,
        UNIQUE KEY ix_users_username (username),
        UNIQUE KEY ix_users_email (email)
    ) DEFAULT CHARACTER SET utf8mb4
    """,
    """
    CREATE TABLE IF NOT EXISTS documents (
        file_id VARCHAR(100) NOT NULL PRIMARY KEY,
        username VARCHAR(50) NOT NULL,
        knowledge_base_id VARCHAR(100) NOT NULL,
        filename VARCHAR(200) NOT NULL,
        byte_size INT NOT NULL,
        sha256 CHAR(64) NOT NULL,
        created_at DATETIME NOT NULL,
        KEY ix_documents_knowledge_base (knowledge_base_id)
    ) DEFAULT CHARACTER SET utf8mb4
    """,
)


def upgrade() -> None:
    """Create missing tables, indexes, bucket, collection and topic."""
    with mysql(BULK_DEADLINE) as cursor:
        for table in _TABLES:
            cursor.execute(table)
    library.build_indexes()
    objects.create_bucket()
    vectors.create_file_collection()
    create_topic(jobs.PARTITIONS)


def create_topic(partitions: int) -> None:
    """Create the topic of ingestion jobs, unless there is one."""
    admin = AdminClient({"bootstrap.servers": settings().kafka_address})
    topic = NewTopic(jobs.TOPIC, partitions, 1, config={"retention.ms": str(jobs.RETENTION_SECONDS * 1000)})
    created = admin.create_topics([topic], request_timeout=BULK_DEADLINE)
    try:
        created[jobs.TOPIC].result(BULK_DEADLINE)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
