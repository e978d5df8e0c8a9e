"""Which server reads what another one wrote: every judgement against tables made from the vendors' pages.

`+` is read, `-` is refused, `?` is documented neither way, or depends on what the data uses. A row is a
writer, a column a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollproof.profile.data_formats import Fit, Marks
from rollproof.profile.kinds import kinds

SIGNS = {"+": Fit.FITS, "-": Fit.REFUSED, "?": Fit.UNKNOWN}

# Redis: RDB is "100 % backwards compatible", never forwards; the release notes say which release changed it.
# Valkey: reads Redis up to 7.2; 8.1 has rdb-version-check; 9 keeps 12 to 79 for others.
REDIS = """
       2.8 3.2 4.0 5.0 6.2 7.0 7.2 7.4 8.0 8.4 8.6 8.8 8.10 v7.2 v8.0 v8.1 v9.0
2.8     +   +   +   +   +   +   +   +   +   +   +   +   +    +    +    +    +
3.2     -   +   +   +   +   +   +   +   +   +   +   +   +    +    +    +    +
4.0     -   -   +   +   +   +   +   +   +   +   +   +   +    +    +    +    +
5.0     -   -   -   +   +   +   +   +   +   +   +   +   +    +    +    +    +
6.2     -   -   -   +   +   +   +   +   +   +   +   +   +    +    +    +    +
7.0     -   -   -   -   -   +   +   +   +   +   +   +   +    +    +    +    +
7.2     -   -   -   -   -   -   +   +   +   +   +   +   +    +    +    +    +
7.4     -   -   -   -   -   -   -   +   +   +   +   +   +    -    -    ?    -
8.0     -   -   -   -   -   -   -   +   +   +   +   +   +    -    -    ?    -
8.4     -   -   -   -   -   -   -   +   +   +   +   +   +    -    -    ?    -
8.6     -   -   -   -   -   -   -   -   -   -   +   +   +    -    -    ?    -
8.8     -   -   -   -   -   -   -   -   -   -   -   +   +    -    -    ?    -
8.10    -   -   -   -   -   -   -   -   -   -   -   -   +    -    -    ?    -
v7.2    -   -   -   -   -   -   +   +   +   +   +   +   +    +    +    +    +
v8.0    -   -   -   -   -   -   +   +   +   +   +   +   +    +    +    +    +
v8.1    -   -   -   -   -   -   +   +   +   +   +   +   +    +    +    +    +
v9.0    -   -   -   -   -   -   -   -   -   -   -   -   -    -    -    ?    +
"""
# MongoDB, as RELEASE/FCV: "the same major version, or the same feature compatibility version"; into a newer
# one the documents alone are promised.
MONGODB = """
        4.4/4.4 5.0/5.0 6.0/5.0 6.0/6.0 7.0/7.0 8.0/8.0
5.0/4.4    +       +       ?       ?       ?       ?
5.0/5.0    -       +       +       ?       ?       ?
6.0/5.0    -       +       +       +       ?       ?
6.0/6.0    -       -       +       +       ?       ?
7.0/6.0    -       -       ?       +       +       ?
7.0/7.0    -       -       -       -       +       ?
8.0/7.0    -       -       -       -       +       +
8.0/8.0    -       -       -       -       -       +
"""
# The same, data files: a server opens those marked by its own release or the one before.
MONGODB_IN_PLACE = """
        4.4 5.0 6.0 7.0 8.0
4.4/4.4  +   +   -   -   -
5.0/4.4  +   +   -   -   -
5.0/5.0  -   +   +   -   -
6.0/6.0  -   -   +   +   -
7.0/6.0  -   -   +   +   -
7.0/7.0  -   -   -   +   +
8.0/8.0  -   -   -   -   +
"""
# MySQL, "Upgrade Paths" and "Downgrade Paths", logical dump: an earlier series "only if no new server
# functionality has been applied to the data"; "from 8.0 to 5.7 is not supported".
MYSQL = """
     5.7 8.0 8.3 8.4 9.0 9.7
5.7   +   +   ?   ?   ?   ?
8.0   -   +   +   +   ?   ?
8.3   -   ?   +   +   ?   ?
8.4   -   ?   ?   +   +   +
9.0   -   ?   ?   ?   +   +
9.7   -   ?   ?   ?   ?   +
"""
# The same, in place: back only within a series with long support, in 8.0 not below 8.0.35.
MYSQL_IN_PLACE = """
        5.7.40 8.0.34 8.0.36 8.0.40 8.4.2 8.4.5 9.0.0 9.0.1
5.7.44    +      +      +      +      ?     ?     ?     ?
8.0.34    -      +      +      +      +     +     ?     ?
8.0.36    -      -      +      +      +     +     ?     ?
8.0.40    -      -      +      +      +     +     ?     ?
8.4.2     -      -      -      -      +     +     +     +
8.4.5     -      -      -      -      +     +     +     +
9.0.0     -      -      -      -      -     -     +     +
9.0.1     -      -      -      -      -     -     -     +
"""
# MariaDB: dumps since 10.5.25, 10.6.18, 10.11.8, 11.0.6, 11.1.5, 11.2.4 and 11.4.2 are refused by earlier
# clients; an earlier series is "not officially supported".
MARIADB = """
         10.4.34 10.6.17 10.6.18 10.11.7 10.11.8 11.3.2 11.4.2 11.8.3 12.0.1
10.4.34     +       +       +       +       +      +      +      +      +
10.6.17     ?       +       +       +       +      +      +      +      +
10.6.18     -       -       +       -       +      -      +      +      +
10.11.7     ?       ?       ?       +       +      +      +      +      +
10.11.8     -       -       ?       -       +      -      +      +      +
11.3.2      ?       ?       ?       ?       ?      +      +      +      +
11.4.2      -       -       ?       -       ?      -      +      +      +
11.8.3      -       -       ?       -       ?      -      ?      +      +
12.0.1      -       -       ?       -       ?      -      ?      ?      +
"""
# The same, in place: "for minor versions, downgrade is supported", never between series.
MARIADB_IN_PLACE = """
         10.4.34 10.6.17 10.6.18 10.11.7 10.11.8 11.4.2
10.4.34     +       +       +       +       +      +
10.6.17     -       +       +       +       +      +
10.6.18     -       +       +       +       +      +
10.11.8     -       -       -       +       +      +
11.4.2      -       -       -       -       -      +
"""
# Milvus: upgraded from one minor version to the next; no way back once a newer one has written.
MILVUS = """
        2.2.16 2.3.4 2.3.5 2.4.1 2.5.0 2.6.3
2.2.16    +      +     +     ?     ?     ?
2.3.4     -      +     +     +     ?     ?
2.3.5     -      ?     +     +     ?     ?
2.4.1     -      -     -     +     +     ?
2.5.0     -      -     -     -     +     +
2.6.3     -      -     -     -     -     +
"""
# Qdrant: a snapshot of v1.4.1 "can only be restored to v1.4.x, where x is equal to or greater than 1".
QDRANT = """
       1.4.0 1.4.1 1.4.3 1.5.0 1.7.0
1.4.0    +     +     +     ?     ?
1.4.1    -     +     +     ?     ?
1.4.3    -     -     +     ?     ?
1.5.0    -     -     -     +     ?
1.7.0    -     -     -     -     +
"""
# The same, storage: "only guaranteed for one minor version", and no downgrade.
QDRANT_IN_PLACE = """
       1.4.0 1.4.1 1.5.0 1.7.0
1.4.0    +     +     +     ?
1.4.1    -     +     +     ?
1.5.0    -     -     +     ?
1.7.0    -     -     -     +
"""
TABLES = (
    *(("redis", REDIS, in_place) for in_place in (False, True)),
    *(("mongodb", MONGODB, False), ("mongodb", MONGODB_IN_PLACE, True)),
    *(("mysql mysql", MYSQL, False), ("mysql mysql", MYSQL_IN_PLACE, True)),
    *(("mysql mariadb", MARIADB, False), ("mysql mariadb", MARIADB_IN_PLACE, True)),
    *(("milvus", MILVUS, in_place) for in_place in (False, True)),
    *(("qdrant", QDRANT, False), ("qdrant", QDRANT_IN_PLACE, True)),
)
# What builds and distributions add to a version.
SUFFIXES = {
    "mysql mysql": ("", "-0ubuntu0.24.04.1", "-27"),
    "mysql mariadb": ("-MariaDB", "-MariaDB-ubu2404"),
}


def marks(kind: str, text: str, patch: int, suffix: str) -> Marks:
    """Return the marks of a release in a table; where the table has no patch, any is meant."""
    release, _, fcv = text.removeprefix("v").partition("/")
    version = f"{release}.{patch}" if release.count(".") == 1 else release
    found: dict[str, str] = {"server": f"{version}{suffix}"}
    if kind == "redis":
        found["product"] = "valkey" if text.startswith("v") else "redis"
    if kind.startswith("mysql "):
        found["flavour"] = kind.removeprefix("mysql ")
    return {**found, "fcv": fcv} if fcv else found


def rows(table: str) -> Iterator[tuple[str, str, Fit]]:
    """Yield writer, reader and judgement."""
    head, *lines = table.strip("\n").splitlines()
    for line in lines:
        writer, *signs = line.split()
        for reader, sign in zip(head.split(), signs, strict=True):
            yield writer, reader, SIGNS[sign]


EVERY = [
    (kind, writer, reader, in_place, fit)
    for kind, table, in_place in TABLES
    for writer, reader, fit in rows(table)
]


def judged(kind: str, written: Marks, reader: Marks, *, in_place: bool) -> Fit:
    judge = kinds()[kind.partition(" ")[0]].judge
    assert judge is not None
    return judge(written, reader, in_place=in_place).fit


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table[0]}{' in place' if table[2] else ''}")
@settings(max_examples=200)
@given(data=st.data())
def test_two_hundred_pairs_are_judged_as_the_vendor_says(
    table: tuple[str, str, bool], data: st.DataObject
) -> None:
    kind, text, in_place = table
    writer, reader, fit = data.draw(st.sampled_from([*rows(text)]))
    suffixes = st.sampled_from(SUFFIXES.get(kind, ("",)))
    # Of one release, an earlier patch takes what a later one wrote; where not, the table has the patches.
    one, other = (
        marks(kind, name, data.draw(st.integers(0, 60)), data.draw(suffixes)) for name in (writer, reader)
    )
    assert judged(kind, one, other, in_place=in_place) is fit


def test_every_pair_of_the_tables_is_judged_so() -> None:
    wrong = [
        (kind, writer, reader, in_place, fit)
        for kind, writer, reader, in_place, fit in EVERY
        if judged(kind, marks(kind, writer, 5, ""), marks(kind, reader, 5, ""), in_place=in_place) is not fit
    ]
    assert (len(EVERY) > 200, wrong) == (True, [])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("kind", [kind for kind, known in kinds().items() if known.judge])
def test_an_unknown_version_is_not_judged(kind: str, *, in_place: bool) -> None:
    known: Mapping[str, Marks] = {
        "": {"server": "8.0.1", "flavour": "mysql"},
        "none": {},
        "other": {"server": "unstable", "flavour": "mysql"},
    }
    for one, other in (("none", ""), ("", "none"), ("", "other"), ("other", "other")):
        assert judged(kind, known[one], known[other], in_place=in_place) is Fit.UNKNOWN


def test_what_a_backup_recorded_counts_before_the_version() -> None:
    # A build of Redis 8 that wrote with RDB 11, and a backup without a value.
    for rdb, fit in ((11, Fit.FITS), (0, Fit.FITS), (12, Fit.REFUSED)):
        written: Marks = {"server": "8.0.3", "product": "redis", "rdb": rdb}
        assert judged("redis", written, {"server": "7.2.5", "product": "redis"}, in_place=False) is fit


def test_a_release_of_the_future_is_judged_by_what_stays_true() -> None:
    newest = {"server": "12.4.0", "product": "redis"}
    assert (
        judged("redis", {"server": "8.0.0", "product": "redis", "rdb": 12}, newest, in_place=False)
        is Fit.FITS
    )
    assert judged("redis", newest, {"server": "8.0.0", "product": "redis"}, in_place=False) is Fit.UNKNOWN
    calendar = {"server": "26.7.2", "flavour": "mysql"}
    assert judged("mysql", calendar, {"server": "26.7.1", "flavour": "mysql"}, in_place=True) is Fit.UNKNOWN


@pytest.mark.parametrize("in_place", [False, True])
def test_the_one_product_refuses_the_other(*, in_place: bool) -> None:
    mysql, mariadb = (
        {"server": "8.4.2", "flavour": "mysql"},
        {"server": "11.8.3-MariaDB", "flavour": "mariadb"},
    )
    assert judged("mysql", mysql, mariadb, in_place=in_place) is Fit.REFUSED
    assert judged("mysql", mariadb, mysql, in_place=in_place) is Fit.REFUSED
