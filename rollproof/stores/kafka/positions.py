"""A log's beginnings, ends and group offsets, and their faults after a rollback.

A baseline holds ``{"topic jobs 0": {"begin": 0, "end": 25, "groups": {"workers": 20}}}``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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
