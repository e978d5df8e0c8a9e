"""The pure parts of the Kafka content reader: divisions, and positions that strayed."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.kafka.positions import Positions, strays
from rollproof.stores.kafka.ranges import Extent, Segment, divided, segments, shifted

EXTENTS = {0: Extent(0, 25), 1: Extent(100, 100), 2: Extent(40, 45)}
DIVISION = ("", "0:0", "0:10", "0:20", "1:100", "2:40")


def test_a_division_has_a_bound_where_each_partition_begins() -> None:
    assert divided(EXTENTS, 10) == DIVISION
    assert divided({0: Extent(0, 0), 1: Extent(7, 7)}, 10) == ("",)
    assert divided({}, 10) == ("",)


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        (EXTENTS, [(1, 0, 0, 10), (2, 0, 10, 20), (3, 0, 20, 25), (5, 2, 40, 45)]),
        # What is appended lands in the last part of its partition, a new partition in the last of all.
        (
            {0: Extent(0, 99), 1: Extent(100, 101), 2: Extent(40, 99), 3: Extent(0, 3)},
            [(1, 0, 0, 10), (2, 0, 10, 20), (3, 0, 20, 99), (4, 1, 100, 101), (5, 2, 40, 99), (5, 3, 0, 3)],
        ),
        # What retention removed is missing where it was.
        ({0: Extent(15, 25), 1: Extent(100, 100), 2: Extent(45, 45)}, [(2, 0, 15, 20), (3, 0, 20, 25)]),
        ({0: Extent(0, 5)}, [(1, 0, 0, 5)]),
        ({}, []),
        # Made anew, it begins at 0: its records are those of before, in their order.
        ({2: Extent(0, 5)}, [(5, 2, 0, 5)]),
        ({2: Extent(30, 40)}, [(5, 2, 30, 40)]),
    ],
)
def test_every_offset_is_in_one_part(
    extents: dict[int, Extent], expected: list[tuple[int, int, int, int]]
) -> None:
    found = list(segments(DIVISION, range(len(DIVISION)), shifted(extents, DIVISION)))
    assert found == [Segment(*each) for each in expected]
    whole = segments(("",), [0], shifted(extents, ("",)))
    assert sum(each.stop - each.start for each in found) == sum(each.stop - each.start for each in whole)


def test_a_shift_is_how_much_earlier_a_partition_begins() -> None:
    assert [extent.shift for extent in shifted(EXTENTS, DIVISION).values()] == [0, 0, 0]
    anew = {0: Extent(0, 25), 1: Extent(0, 9), 2: Extent(41, 45), 3: Extent(0, 1)}
    assert [extent.shift for extent in shifted(anew, DIVISION).values()] == [0, 100, 0, 0]


def _positions(**changes: Json) -> dict[str, Json]:
    found = Positions(
        {("t", 0): Extent(5, 25), ("t", 1): Extent(0, 9)},
        {("a group", ("t", 0)): 20, ("a group", ("t", 1)): 9},
    ).record()
    found |= {name.replace("_", " "): value for name, value in changes.items()}
    return {name: value for name, value in found.items() if value != "gone"}


def _read(**changes: Json) -> Positions:
    return Positions.of_record(_positions(**changes))


topics = st.text("abc.-_", min_size=1)
partitions = st.tuples(topics, st.integers(0, 99))


@pytest.mark.parametrize("value", [7, {"begin": 0}, None])
def test_another_record_is_no_position(value: Json) -> None:
    with pytest.raises(Unverifiable, match="recorded positions: expected begin and end"):
        Positions.of_record({"topic t 0": value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        # It went on: more came, more was read, more has expired.
        ({"topic_t_0": {"begin": 22, "end": 40}, "group_a_group_t_0": 40}, []),
        # Keys go to other partitions from then on.
        (
            {"topic_t_2": {"begin": 0, "end": 0}, "group_new_t_2": 0},
            ["topic t: expected 2 partitions, observed 3"],
        ),
        ({"group_a_group_t_0": "gone"}, ["group a group t 0: expected offset 20 or later, observed none"]),
        ({"group_a_group_t_0": 19}, ["group a group t 0: expected offset 20 or later, observed 19: 1 again"]),
        ({"group_a_group_t_0": 26}, ["up to the end of its partition, observed 26, the end at 25"]),
        (
            {"topic_t_0": {"begin": 5, "end": 24}},
            ["topic t 0: expected to end at 25 or later, observed 24"],
        ),
        (
            {"topic_t_1": "gone"},
            ["topic t: expected 2 partitions, observed 1", "observed 9, no such partition"],
        ),
        # Made anew: all offsets are 5 lower.
        ({"topic_t_0": {"begin": 0, "end": 20}, "group_a_group_t_0": 15}, []),
        (
            {"topic_t_0": {"begin": 0, "end": 19}, "group_a_group_t_0": 14},
            ["expected to end at 20 or later, observed 19", "expected offset 15 or later, observed 14"],
        ),
        # Made anew and empty.
        (
            {"topic_t_1": {"begin": 0, "end": 0}},
            ["topic t 1: expected to end at 9", "observed 9, the end at 0"],
        ),
    ],
)
def test_what_strayed_is_told(changes: dict[str, Json], words: list[str]) -> None:
    lines = strays(_read(), _read(**changes))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line
