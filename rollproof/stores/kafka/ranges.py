"""A topic's parts as ranges of offsets, and the records in a range.

Records are ordered by partition, then offset. A division has a bound at every partition's first offset. So
appended records land in their partition's last part, and each partition's beginning is remembered.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from rollproof.stores.contract import Pace
from rollproof.stores.kafka.view import BATCH, Log, Partition, failed
from rollproof.stores.reach import Countdown

# The longest wait for a whole batch. Shorter than the view's, since every range ends with such a wait.
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition's begin and end. Adding `shift` to its offsets gives the division's offsets."""

    begin: int
    end: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """One part's offsets in one partition, from `start` to before `stop`."""

    part: int
    partition: int
    start: int
    stop: int


def bound_of(text: str) -> tuple[int, int]:
    """Return a bound's partition and offset."""
    partition, _, offset = text.partition(":")
    return (int(partition), int(offset)) if text else (0, 0)


def divided(extents: Mapping[int, Extent], records: int) -> tuple[str, ...]:
    """Return bounds at each partition's beginning and every `records` offsets; one part if all are empty."""
    if all(extent.begin >= extent.end for extent in extents.values()):
        return ("",)
    bounds = [""]
    for partition, extent in sorted(extents.items()):
        bounds.append(f"{partition}:{extent.begin}")
        bounds += [f"{partition}:{offset}" for offset in range(extent.begin + records, extent.end, records)]
    return tuple(bounds)


def shifted(extents: Mapping[int, Extent], division: Sequence[str]) -> dict[int, Extent]:
    """Return `extents` with their shifts.

    A partition's beginning only ever moves up, unless its topic was recreated. Then it begins at 0, with the
    record that was first before.
    """
    first: dict[int, int] = {}
    for text in division:
        if text:
            first.setdefault(*bound_of(text))
    return {
        partition: Extent(extent.begin, extent.end, max(0, first.get(partition, 0) - extent.begin))
        for partition, extent in extents.items()
    }


def segments(
    division: Sequence[str], parts: Iterable[int], extents: Mapping[int, Extent]
) -> Iterator[Segment]:
    """Yield the retained segments of `parts`, part by part in the order given, without empty ones."""
    bounds = [bound_of(text) for text in division]
    for part in parts:
        after = bounds[part + 1] if part + 1 < len(bounds) else None
        for partition, extent in sorted(extents.items()):
            start, stop = extent.begin, extent.end
            first, offset = bounds[part]
            if first == partition:
                start = max(start, offset - extent.shift)
            if after is not None and after[0] == partition:
                stop = min(stop, after[1] - extent.shift)
            if first > partition or (after is not None and after[0] < partition):
                continue
            if start < stop:
                yield Segment(part, partition, start, stop)


def runs(found: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Yield lists of segments that adjoin without a gap, each to be read in one go."""
    run: list[Segment] = []
    for segment in found:
        if run and (run[-1].partition, run[-1].stop) != (segment.partition, segment.start):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


class RangeLog(Log):
    """A log read range by range. The deadline holds for each answer, not for a whole range."""

    # If retention removes records during a read, only those are skipped.
    SETTINGS: ClassVar[Mapping[str, str]] = {"auto.offset.reset": "earliest"}
    _size = Pace.SMALLEST
    _count = 0
    _spent = 0.0

    def real_ends(self, partitions: Iterable[Partition], countdown: Countdown) -> dict[Partition, int]:
        """Return each partition's end, as the broker reports it while giving records.

        A broker asked for the end alone has been seen to answer 1 for as long as it ran.
        """
        ends = self.ends(partitions, countdown)
        waiting = set(ends)
        self._consumer.assign([TopicPartition(*partition, end) for partition, end in ends.items()])
        try:
            while waiting:
                batch: list[Any] = self._consumer.consume(BATCH, min(POLL_SECONDS, countdown.left()))
                for message in batch:
                    partition = (message.topic(), message.partition())
                    if self._is_end(message):
                        ends[partition] = max(ends[partition], message.offset())
                    elif partition in waiting:
                        _, high = self._consumer.get_watermark_offsets(
                            TopicPartition(*partition), cached=True
                        )
                        ends[partition] = max(ends[partition], high, message.offset() + 1)
                    waiting.discard(partition)
        except KafkaException as error:
            raise failed(self._reach, "the ends of the partitions", error) from None
        finally:
            self._consumer.unassign()
        return ends

    def read(self, topic: str, run: Sequence[Segment], pace: Pace) -> Generator[tuple[int, Any]]:
        """Yield each record of `run` with its part, in order. Transaction markers are skipped."""
        starts = [segment.start for segment in run]
        stop = run[-1].stop
        self._consumer.assign([TopicPartition(topic, run[0].partition, starts[0])])
        try:
            at = starts[0]
            countdown = self._reach.start()
            while at < stop:
                batch = self._consume(countdown, pace)
                for message in batch:
                    # Compaction leaves holes, so the next record may be past the range's end.
                    at = message.offset() + (not self._is_end(message))
                    if at > stop or message.error() is not None:
                        continue
                    if at <= starts[0]:
                        raise failed(
                            self._reach, f"the records of {topic}", "that it was re-created meanwhile"
                        )
                    yield run[bisect_right(starts, message.offset()) - 1].part, message
                if batch:
                    countdown = self._reach.start()
        except KafkaException as error:
            raise failed(self._reach, f"the records of {topic}", error) from None
        finally:
            self._consumer.unassign()

    def _consume(self, countdown: Countdown, pace: Pace) -> list[Any]:
        started = time.monotonic()
        batch: list[Any] = self._consumer.consume(BATCH, min(POLL_SECONDS, countdown.left()))
        self._spent += time.monotonic() - started
        self._count += len(batch)
        if self._count >= self._size:
            self._size = pace.next_size(self._count, self._spent)
            self._count, self._spent = 0, 0.0
        return batch

    def _is_end(self, message: Any) -> bool:  # noqa: ANN401 - a message of the library
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public name
            raise failed(self._reach, f"the records of {message.topic()}", error)
        return True
