"""The ingestion worker: takes jobs from Kafka, one at a time. `python -m app.worker`.

Offsets are committed before a job is processed: a job that fails is reported in its task and not retried.
"""

import asyncio
import logging
import signal
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from redis import RedisError

from app import ingestion, jobs
from app.settings import settings

HEARTBEAT = Path("/tmp/worker.alive")  # noqa: S108 -- the container's own tmpfs
_BEAT = 0.5
_log = logging.getLogger("app.worker")


async def run() -> None:
    """Consume until a signal asks to stop; the job at hand is finished first.

    Raises:
        aiokafka.errors.KafkaError: The broker is not there when the worker starts.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Not librdkafka: its consumer crashes with a segmentation fault when the topic is deleted and re-created.
    consumer = AIOKafkaConsumer(
        jobs.TOPIC,
        bootstrap_servers=settings().kafka_address,
        group_id=jobs.GROUP,
        enable_auto_commit=False,
        # A group without offsets must not skip messages queued before its first start.
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=5000,
        max_poll_records=1,
    )
    await consumer.start()
    try:
        while not stop.is_set():
            await _turn(consumer)
    finally:
        await consumer.stop()


async def _turn(consumer: AIOKafkaConsumer) -> None:
    # The heartbeat means: the loop turns and the group has given this member partitions to read.
    if consumer.assignment():
        await asyncio.to_thread(HEARTBEAT.touch)
    try:
        received = await consumer.getmany(timeout_ms=int(_BEAT * 1000))
    except KafkaError as error:
        _log.warning("fetch: %r", error)
        await asyncio.sleep(_BEAT)
        return
    for partition, records in received.items():
        for record in records:
            if not await _committed(consumer, partition, record):
                return
            await asyncio.to_thread(process, record)


async def _committed(consumer: AIOKafkaConsumer, partition: TopicPartition, record: ConsumerRecord) -> bool:
    try:
        await consumer.commit({partition: record.offset + 1})
    except KafkaError as error:
        # Not committed, so not to be processed: come back to it.
        _log.warning("commit: %r", error)
        if partition in consumer.assignment():
            consumer.seek(partition, record.offset)
        await asyncio.sleep(_BEAT)
        return False
    return True


def process(record: ConsumerRecord) -> None:
    """Ingest a message's file; an error is logged and recorded in its task."""
    try:
        job = jobs.decode(record.value or b"")
    except ValueError as error:
        _log.error("partition %s offset %s: %s", record.partition, record.offset, error)
        return
    try:
        count = ingestion.ingest(job)
        jobs.count_processed(job.task_id, f"{job.filename}: {count} chunks")
        _log.info("%s: %d chunks", job.filename, count)
    except Exception as error:  # noqa: BLE001 -- one bad file must not stop the files after it
        _log.exception("%s", job.filename)
        _tell_failure(job, error)


def _tell_failure(job: jobs.Job, error: Exception) -> None:
    try:
        jobs.fail_task(job.task_id, f"{job.filename}: {type(error).__name__}")
    except RedisError:
        # The task's state then expires; the log above has the failure itself.
        _log.exception("task %s", job.task_id)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run())
