"""Ingestion jobs: messages in Kafka, their task's state in Redis."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from confluent_kafka import KafkaError, Message

from app.connections import TASKS, producer, redis
from app.settings import STORE_DEADLINE

TOPIC = "task_generation"
PARTITIONS = 10
GROUP = "task_consumer_group"
TASK_SECONDS = 3600
"""How long the state of a task is kept after it was opened."""

RETENTION_SECONDS = 7 * 24 * 3600
"""Seconds that the topic keeps a job."""

Field = bytes | bytearray | memoryview | str | int | float
"""Types that a Redis hash accepts as field and value."""


class DeliveryError(Exception):
    """The broker did not accept every message in time."""


@dataclass(frozen=True)
class Job:
    """One file to be ingested."""

    task_id: str
    username: str
    knowledge_db_id: str
    file_id: str
    filename: str
    minio_filename: str


def encode(job: Job) -> bytes:
    """Return a job as a message."""
    return json.dumps({"type": "file_embedding", **asdict(job)}).encode()


def decode(message: bytes) -> Job:
    """Read a message.

    Raises:
        ValueError: The message is not a job's.
    """
    try:
        fields = json.loads(message)
        if fields.pop("type") != "file_embedding":
            raise ValueError(f"message: expected type file_embedding, observed {message[:80]!r}")
        return Job(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"message: expected the fields of a job, observed {message[:80]!r}") from error


def send(messages: Sequence[tuple[bytes, bytes, int]], topic: str = TOPIC) -> None:
    """Produce (key, value, partition) messages, -1 for a partition by key; wait for their acknowledgement.

    Raises:
        DeliveryError: A message was refused or not taken within the deadline.
    """
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    for key, value, partition in messages:
        producer().produce(topic, value, key, partition, on_delivery=delivered)
        producer().poll(0)
    waiting = producer().flush(STORE_DEADLINE * 2)
    if waiting or refused:
        raise DeliveryError(
            f"messages to {topic}: expected {len(messages)} taken,"
            f" observed {len(refused)} refused and {waiting} waiting"
        )


def open_task(task_id: str, username: str, total: int) -> None:
    """Store the state of a task of `total` files."""
    state: dict[Field, Field] = {
        "status": "processing",
        "username": username,
        "total": total,
        "processed": 0,
        "message": "Queued",
    }
    key = f"task:{task_id}"
    with redis(TASKS).pipeline() as pipeline:
        pipeline.hset(key, mapping=state)
        pipeline.expire(key, TASK_SECONDS)
        pipeline.execute()


def count_processed(task_id: str, message: str) -> None:
    """Count one more processed file of a task; the last one completes it."""
    key = f"task:{task_id}"
    processed = redis(TASKS).hincrby(key, "processed", 1)
    total = int(redis(TASKS).hget(key, "total") or 0)
    status = "completed" if processed >= total else "processing"
    redis(TASKS).hset(key, mapping={"status": status, "message": message})


def fail_task(task_id: str, message: str) -> None:
    """Mark a task as failed."""
    redis(TASKS).hset(f"task:{task_id}", mapping={"status": "failed", "message": message})
