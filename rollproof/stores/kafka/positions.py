"""A log's beginnings, ends and group offsets, and their faults after a rollback."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rollproof.collection import Json
from rollproof.errors import Unverifiable, shown
from rollproof.stores.kafka.ranges import Extent, Partition

# Only a group's own name may hold spaces.
_NAME = re.compile(r"(?:topic|group (?P<group>.+)) (?P<topic>[^ ]+) (?P<number>[0-9]+)", re.DOTALL)
InPartition = tuple[str, Partition]
"""A group, and the partition that it reads."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Begin and end of each partition, and the offset of each group in the partitions that it reads."""

    extents: Mapping[Partition, Extent]
    offsets: Mapping[InPartition, int]

    def record(self) -> dict[str, Json]:
        """Return them as a baseline holds them: ``topic NAME NUMBER`` and ``group NAME TOPIC NUMBER``."""
        found: dict[str, Json] = {
            _name_of(partition): {"begin": extent.begin, "end": extent.end}
            for partition, extent in self.extents.items()
        }
        return found | {_name_in(*place): offset for place, offset in self.offsets.items()}

    @classmethod
    def of_record(cls, recorded: Mapping[str, Json]) -> Self:
        """Return the recorded positions; raises `Unverifiable` for another shape."""
        extents: dict[Partition, Extent] = {}
        offsets: dict[InPartition, int] = {}
        for name, value in recorded.items():
            match _NAME.fullmatch(name), value:
                case re.Match() as found, {"begin": int(begin), "end": int(end)} if not found["group"]:
                    extents[found["topic"], int(found["number"])] = Extent(begin, end)
                case re.Match() as found, int(offset) if found["group"]:
                    offsets[found["group"], (found["topic"], int(found["number"]))] = offset
                case _:
                    raise _unreadable(name, value)
        return cls(extents, offsets)


def _unreadable(name: str, value: Json) -> Unverifiable:
    return Unverifiable(
        what="recorded positions",
        expected="begin and end of partitions, and offsets of groups",
        observed=f"{name}: {shown(value)}",
        source="the baseline",
        hint="another version has captured it: capture again",
    )


def _name_of(partition: Partition) -> str:
    return f"topic {partition[0]} {partition[1]}"


def _name_in(group: str, partition: Partition) -> str:
    return f"group {group} {partition[0]} {partition[1]}"


def lags(positions: Positions) -> dict[str, int]:
    """Return the number of offsets that each group has yet to read, by the group's name.

    In a topic that the group reads, a partition without a committed offset counts as unread.
    """
    found: dict[str, int] = {}
    for group, topic in {(group, topic): None for group, (topic, _) in positions.offsets}:
        for partition, extent in positions.extents.items():
            if partition[0] == topic:
                # Records that retention has removed meanwhile can no longer be read.
                start = max(extent.begin, positions.offsets.get((group, partition), extent.begin))
                found[group] = found.get(group, 0) + max(0, extent.end - start)
    return found


def strays(recorded: Positions, observed: Positions) -> Sequence[str]:
    """Return a line for each recorded position that is lost, moved back or beyond the end.

    A recreated topic begins at a lower offset than before; all its offsets are then lower by the same amount.
    """
    return [*_partitions(recorded, observed), *_groups(recorded, observed)]


def _partitions(recorded: Positions, observed: Positions) -> Iterator[str]:
    expected, present = _counts(recorded), _counts(observed)
    for topic, count in expected.items():
        if present.get(topic, 0) != count:
            yield f"topic {topic}: expected {count} partitions, observed {present.get(topic, 0)}"
    for partition, before in recorded.extents.items():
        now = observed.extents.get(partition)
        if now is None:
            continue
        end = before.end - _shift(before, now)
        if now.end < end:
            yield f"{_name_of(partition)}: expected to end at {end} or later, observed {now.end}"


def _groups(recorded: Positions, observed: Positions) -> Iterator[str]:
    for place, offset in recorded.offsets.items():
        before, now = recorded.extents.get(place[1]), observed.extents.get(place[1])
        wanted = offset - (_shift(before, now) if before and now else 0)
        name, stands = _name_in(*place), observed.offsets.get(place)
        if stands is None:
            yield f"{name}: expected offset {wanted} or later, observed none"
        elif stands < wanted:
            yield f"{name}: expected offset {wanted} or later, observed {stands}: {wanted - stands} again"
    for place, stands in observed.offsets.items():
        now = observed.extents.get(place[1])
        if now is None or stands > now.end:
            end = "no such partition" if now is None else f"the end at {now.end}"
            yield (
                f"{_name_in(*place)}: expected an offset up to the end of its partition,"
                f" observed {stands}, {end}"
            )


def _counts(positions: Positions) -> dict[str, int]:
    counts: dict[str, int] = {}
    for topic, _ in positions.extents:
        counts[topic] = counts.get(topic, 0) + 1
    return counts


def _shift(before: Extent, now: Extent) -> int:
    return max(0, before.begin - now.begin)
