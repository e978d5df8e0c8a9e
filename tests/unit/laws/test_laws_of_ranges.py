"""Parts of a log of Kafka: whatever is there falls into exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from rollproof.stores.kafka.ranges import Extent, divided, segments, shifted

extents = st.dictionaries(
    st.integers(0, 3),
    st.tuples(st.integers(0, 9), st.integers(0, 12)).map(lambda at: Extent(at[0], at[0] + at[1])),
    min_size=1,
)


def parts_of(division: tuple[str, ...], now: Mapping[int, Extent]) -> dict[tuple[int, int], int]:
    """Return the part of each record, which must be in one alone."""
    found: dict[tuple[int, int], int] = {}
    for segment in segments(division, range(len(division)), shifted(now, division)):
        for offset in range(segment.start, segment.stop):
            assert (segment.partition, offset) not in found
            found[segment.partition, offset] = segment.part
    return found


def everything(now: Mapping[int, Extent]) -> set[tuple[int, int]]:
    return {(partition, offset) for partition, at in now.items() for offset in range(at.begin, at.end)}


@given(extents, st.integers(1, 5))
def test_every_record_of_a_log_is_in_one_part(now: dict[int, Extent], size: int) -> None:
    division = divided(now, size)
    found = parts_of(division, now)
    assert found.keys() == everything(now)
    # No part holds more than it should, and they follow one another.
    sizes = [list(found.values()).count(part) for part in range(len(division))]
    assert max(sizes, default=0) <= size
    assert list(found.values()) == sorted(found.values())


@given(extents, st.integers(1, 5), st.data())
def test_a_record_stays_in_its_part_while_the_log_goes_on(
    before: dict[int, Extent], size: int, data: st.DataObject
) -> None:
    division = divided(before, size)
    now = {
        partition: Extent(begin, data.draw(st.integers(max(begin, at.end), at.end + 5)))
        for partition, at in before.items()
        for begin in [data.draw(st.integers(at.begin, at.end + 2))]
    }
    old, new = parts_of(division, before), parts_of(division, now)
    # Retention removes the first ones, what comes is appended; of all that is left no record has moved.
    assert new.keys() == everything(now)
    assert all(new[record] == old[record] for record in old.keys() & new.keys())
