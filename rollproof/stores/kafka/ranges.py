"""A topic's parts as ranges of offsets; lags and faults of consumer groups, by their offsets.

Records are ordered by partition, then offset. A division has a bound at every partition's first offset. So
appended records land in their partition's last part, and each partition's beginning is remembered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_GONE: Mapping[str, Any] = {"begin": 0, "end": 0, "groups": {}}


def name_of(topic: str, partition: int) -> str:
    """Return the name of a partition among positions."""
    return f"topic {topic} {partition}"


def lags(positions: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of offsets that each group has yet to read, by the group's name.

    In a topic that the group reads, a partition without a committed offset counts as unread.
    """
    found = Counter[str]()
    topics = {name: name.rpartition(" ")[0] for name in positions}
    for group, topic in {(group, topics[name]) for name, one in positions.items() for group in one["groups"]}:
        for name, one in positions.items():
            if topics[name] == topic:
                # Records that retention has removed meanwhile can no longer be read.
                start = max(one["begin"], one["groups"].get(group, 0))
                found[group] += max(0, one["end"] - start)
    return dict(found)


def strays(recorded: Mapping[str, Any], observed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each recorded position that is lost, moved back or beyond the end.

    A recreated topic begins at a lower offset than before; all its offsets are then lower by the same amount.
    """
    for name, before in recorded.items():
        now = observed.get(name, _GONE)
        shift = max(0, before["begin"] - now["begin"])
        end = before["end"] - shift
        if now["end"] < end:
            yield f"{name}: expected to end at {end} or later, observed {now['end']}"
        for group, offset in before["groups"].items():
            stands = now["groups"].get(group)
            if stands is None or stands < offset - shift:
                observed_offset = "none" if stands is None else stands
                yield (
                    f"group {group} in {name}: expected offset {offset - shift} or later,"
                    f" observed {observed_offset}"
                )
    for name, now in observed.items():
        for group, stands in now["groups"].items():
            if stands > now["end"]:
                yield f"group {group} in {name}: expected an offset up to {now['end']}, observed {stands}"


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
    for partition, offset in _bounds(division)[1:]:
        first.setdefault(partition, offset)
    return {
        partition: Extent(extent.begin, extent.end, max(0, first.get(partition, 0) - extent.begin))
        for partition, extent in extents.items()
    }


def segments(division: Sequence[str], parts: Sequence[int], extents: Mapping[int, Extent]) -> list[Segment]:
    """Return the retained segments of `parts`, part by part in the order given, without empty ones."""
    bounds, order = _bounds(division), {part: number for number, part in enumerate(parts)}
    found: list[Segment] = []
    for partition, extent in extents.items():
        inside = {offset - extent.shift for number, offset in bounds if number == partition}
        between = (offset for offset in inside if extent.begin < offset < extent.end)
        for start, stop in pairwise(sorted({extent.begin, *between, extent.end})):
            part = bisect_right(bounds, (partition, start + extent.shift)) - 1
            if part in order:
                found.append(Segment(part, partition, start, stop))
    return sorted(found, key=lambda one: (order[one.part], one.partition, one.start))


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


def _bounds(division: Sequence[str]) -> list[tuple[int, int]]:
    """Return the partition and offset of each bound; the first is before every record."""
    found = [(0, 0)]
    for text in division[1:]:
        partition, _, offset = text.partition(":")
        found.append((int(partition), int(offset)))
    return found
