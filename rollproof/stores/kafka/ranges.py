"""A topic's parts as ranges of offsets.

Records are ordered by partition, then offset. A division has a bound at every partition's first offset. So
appended records land in their partition's last part, and each partition's beginning is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

# A partition of one topic.
Partition = tuple[str, int]


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
