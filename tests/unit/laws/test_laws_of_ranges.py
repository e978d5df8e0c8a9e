"""Parts of a collection: whatever is there falls into exactly one of them."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import closing
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from rollproof.stores.kafka.ranges import Extent, divided, runs, segments, shifted
from rollproof.stores.mysql.table import Column, Key, between
from rollproof.stores.postgresql.table import PostgresqlTable

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


@given(extents, st.integers(1, 5), st.integers(1, 5))
def test_a_log_that_was_recreated_is_divided_as_before(
    before: dict[int, Extent], size: int, added: int
) -> None:
    division = divided(before, size)
    now = {partition: Extent(0, at.end - at.begin + added) for partition, at in before.items()}
    old, new = parts_of(division, before), parts_of(division, now)
    assert new.keys() == everything(now)
    assert all(
        new[partition, offset - before[partition].begin] == part for (partition, offset), part in old.items()
    )


@given(extents, st.integers(1, 5), st.data())
def test_runs_are_all_segments_in_their_order(now: dict[int, Extent], size: int, data: st.DataObject) -> None:
    division = divided(now, size)
    parts = data.draw(st.permutations(range(len(division))))[::2]
    every = list(segments(division, parts, shifted(now, division)))
    found = list(runs(every))
    assert [segment for run in found for segment in run] == every
    for run in found:
        assert all(
            (one.partition, one.stop) == (other.partition, other.start) for one, other in pairwise(run)
        )


def column(name: str, kind: str) -> Column:
    return Column(
        name=name, type=kind, nullable=False, digits=10, length=40, charset=None, collation=None,
        virtual=False, generated=False,
    )  # fmt: skip


# Values as a bound has them, and as sqlite, which stands in for the server, holds them.
KEYS = {
    "int": st.integers(-3, 3).map(lambda number: (str(number), number)),
    "varbinary": st.binary(max_size=2).map(lambda value: (value.hex().upper(), value)),
    "date": st.integers(1, 9).map(lambda day: (f"2024-01-0{day}", f"2024-01-0{day}")),
}


@given(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3), st.data())
def test_every_row_is_between_two_bounds_alone(kinds: list[str], data: st.DataObject) -> None:
    columns = {f"c`{number}": column(f"c`{number}", kind) for number, kind in enumerate(kinds)}
    key = Key("PRIMARY", tuple(columns.values()), tuple(columns.values()))
    rows = data.draw(st.lists(st.tuples(*(KEYS[kind] for kind in kinds)), max_size=8))
    at = data.draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []
    ordered = sorted(set(at), key=lambda row: [value for _, value in row])
    bounds = ["", *(key.bound([text for text, _ in row]) for row in ordered), ""]
    assert all(list(json.loads(bound)) == list(columns) for bound in bounds[1:-1])
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(one.sql for one in columns.values())})")
        marks = ", ".join("?" for _ in kinds)
        connection.executemany(
            f"INSERT INTO t VALUES ({marks})",  # noqa: S608 - marks alone
            [[value for _, value in row] for row in rows],
        )
        counts = [
            connection.execute(
                f"SELECT rowid FROM t WHERE {between(columns, first, end)}"  # noqa: S608 - of a bound
            ).fetchall()
            for first, end in pairwise(bounds)
        ]
        # A row at a bound is the first of its part, or is left out.
        for bound, row in zip(bounds[1:-1], ordered, strict=True):
            condition = between(columns, bound, "", after=True)
            left = connection.execute(f"SELECT * FROM t WHERE {condition}").fetchall()  # noqa: S608
            assert tuple(value for _, value in row) not in left
    found = [number for (number,) in chain.from_iterable(counts)]
    assert sorted(found) == list(range(1, len(rows) + 1))


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.tuples(*[st.sampled_from("abc'")] * width), min_size=1, max_size=8)
    ),
    st.data(),
)
def test_a_row_of_postgresql_at_a_bound_is_of_the_part_that_begins_there(
    rows: list[tuple[str, ...]], data: st.DataObject
) -> None:
    names = tuple(f"c{number}" for number in range(len(rows[0])))
    table = PostgresqlTable("public.t", names, names, names, names)
    ordered = sorted(set(data.draw(st.lists(st.sampled_from(rows), max_size=3))))
    bounds = ["", *(json.dumps(row) for row in ordered)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(names)})")
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' for _ in names)})", rows)  # noqa: S608
        parts = [
            connection.execute(
                f"SELECT * FROM t WHERE {table.part(bounds, number).replace('ROW(', '(')}"  # noqa: S608
            ).fetchall()
            for number in range(len(bounds))
        ]
    wanted = [[row for row in rows if bisect_right(ordered, row) == number] for number in range(len(bounds))]
    assert [sorted(part) for part in parts] == [sorted(part) for part in wanted]
