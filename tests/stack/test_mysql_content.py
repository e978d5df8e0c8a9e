"""MySQL and MariaDB, content: any change of a row changes the digest; on real servers of both."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest
from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Unverifiable
from fixtures.stores.content import FIELD_BITS, HASH_BITS, Digest, Pace, RecordHash
from fixtures.stores.factory import open_content
from fixtures.stores.mysql import rows
from fixtures.stores.mysql_content import Content
from fixtures.stores.profiles import Account
from fixtures.target import Target
from tests.stack.content_reading import digests, recorded, whole
from tests.stack.mysql_server import MysqlServer, prepared
from tests.stack.mysql_types import CORRUPTIONS, MARIADB_CORRUPTIONS, MYSQL_CORRUPTIONS, TABLE, fill
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence, with_wrong_password

ALL_CORRUPTIONS = {**CORRUPTIONS, **MYSQL_CORRUPTIONS, **MARIADB_CORRUPTIONS}


@pytest.fixture
def sql(running: MysqlServer) -> Iterator[Connection[Cursor]]:
    with prepared(running) as connection:
        yield connection


@pytest.fixture
def content(running: MysqlServer, sql: Connection[Cursor]) -> Iterator[Content]:
    assert sql.open
    with Content("mysql", running.profile, running.endpoint) as content:
        yield content


def _summed(found: Sequence[tuple[int, RecordHash]]) -> Mapping[int, Digest]:
    sums: dict[int, Digest] = {}
    for part, record in found:
        assert 0 <= record.hash < 2**HASH_BITS
        assert all(0 <= value < 2**FIELD_BITS for value in record.fields.values())
        sums[part] = sums.get(part, Digest(0, 0)) + Digest(1, record.hash)
    return sums


@pytest.mark.parametrize("name", ALL_CORRUPTIONS)
def test_any_change_of_a_row_changes_the_digest(
    running: MysqlServer, sql: Connection[Cursor], content: Content, name: str
) -> None:
    other = MARIADB_CORRUPTIONS if running.flavour == "mysql" else MYSQL_CORRUPTIONS
    if name in other:
        pytest.skip(f"a type that {running.flavour} does not have")
    fill(running)
    before = whole(content, TABLE)
    records = {record.key: record for _, record in recorded(content, TABLE)}
    assert before == sum((Digest(1, record.hash) for record in records.values()), Digest(0, 0))
    assert before == whole(content, TABLE)
    statements, fields = ALL_CORRUPTIONS[name]
    for statement in statements:
        rows(sql, statement)
    after = whole(content, TABLE)
    assert after != before
    now = {record.key: record for _, record in recorded(content, TABLE)}
    assert after == sum((Digest(1, record.hash) for record in now.values()), Digest(0, 0))
    both = [(records[key], now[key]) for key in records.keys() & now.keys()]
    differing = {
        field
        for one, other_record in both
        if one.hash != other_record.hash
        for field in one.fields
        if one.fields[field] != other_record.fields[field]
    }
    assert differing == set(fields.split())


@pytest.mark.parametrize(
    "key",
    [
        "id int NOT NULL, PRIMARY KEY (id)",
        "id bigint unsigned NOT NULL, UNIQUE KEY (id)",
        "id decimal(20,3) NOT NULL, PRIMARY KEY (id)",
        "id varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL, PRIMARY KEY (id)",
        "id varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL, PRIMARY KEY (id)",
        "id varchar(20) CHARACTER SET utf16 NOT NULL, PRIMARY KEY (id)",
        "id varbinary(20) NOT NULL, PRIMARY KEY (id)",
        "id int NOT NULL, half int NOT NULL, PRIMARY KEY (half, id)",
        "id int NOT NULL, half varchar(9) NOT NULL, part int NOT NULL, PRIMARY KEY (half, part, id)",
        "id int NOT NULL, e enum('z','y','x') NOT NULL DEFAULT 'y', PRIMARY KEY (id, e)",
        "id int NOT NULL, half int NOT NULL, f float NOT NULL, PRIMARY KEY (half, f, id)",
        "id datetime(6) NOT NULL, PRIMARY KEY (id)",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_row_is_in_exactly_one_part(
    sql: Connection[Cursor], content: Content, key: str, size: int
) -> None:
    rows(sql, f"CREATE TABLE t ({key}, note varchar(9) NOT NULL DEFAULT '')")
    time_key = "datetime" in key
    values = [f"2024-01-01 00:{n // 60:02}:{n % 60:02}.000001" if time_key else n for n in range(10, 60)]
    if "varchar(20)" in key or "varbinary" in key:
        # In the order of one collation, of another, and of bytes.
        values = [
            *map(str, range(30)),
            "a",
            "B",
            "c",
            "D",
            "Z",
            "é",
            "ß",
            "%",
            "'",
            "\\",
            "_x",
            " y",
            "",
        ]
    _insert(sql, key, values)
    division = content.divide(TABLE, size)
    assert division[0] == ""
    assert len(set(division)) == len(division)
    if size == 1000:
        assert division == ("",)
    parts = digests(content, TABLE, division)
    before = whole(content, TABLE)
    assert sum(parts, Digest(0, 0)) == before
    assert before.records == len(values)
    if size == 1 and "half" not in key:
        assert {digest.records for digest in parts} == {1}
    assert _summed(recorded(content, TABLE, division)) == {
        part: digest for part, digest in enumerate(parts) if digest.records
    }
    # Rows that come between: before the first, after the last, in the middle.
    more = ["", "2023-01-01", "2024-01-01 00:00:30.5", "2025-01-01"] if time_key else [-5, 5, 1000]
    if "varchar(20)" in key or "varbinary" in key:
        more = ["!", "\U0001f600" if "utf" in key else "ÿ", "bb"]
    if time_key:
        more = more[1:]
    _insert(sql, key, more)
    rows(sql, "DELETE FROM t WHERE id = %s", [values[20]])
    later = digests(content, TABLE, division)
    assert sum(later, Digest(0, 0)) == whole(content, TABLE)
    assert whole(content, TABLE).records == len(values) + len(more) - 1


def _insert(sql: Connection[Cursor], key: str, values: Sequence[object]) -> None:
    """Insert rows of these ids; what else the key has is made of the id, several rows to one."""
    others = [name for name in ("half", "part", "f") if f", {name} " in key]
    derived = {"half": "%s DIV 7", "part": "%s DIV 3", "f": "%s / 3"}
    names = ", ".join(["id", *others])
    places = ", ".join(["%s", *(derived[name] for name in others)])
    with closing(sql.cursor()) as cursor:
        cursor.executemany(
            f"INSERT INTO t ({names}) VALUES ({places})",  # noqa: S608 - constants
            [[value] * (1 + len(others)) for value in values],
        )


def test_what_comes_first_and_last_is_in_the_first_and_last_part(
    sql: Connection[Cursor], content: Content
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, v int)")
    rows(sql, "INSERT INTO t VALUES (10, 1), (20, 1), (30, 1), (40, 1)")
    division = content.divide(TABLE, 2)
    assert division == ("", '{"id": "30"}')
    rows(sql, "INSERT INTO t VALUES (-7, 1), (1000, 1)")
    assert [digest.records for digest in digests(content, TABLE, division)] == [3, 3]
    assert [(part, record.key) for part, record in recorded(content, TABLE, division)] == [
        (0, "-7"), (0, "10"), (0, "20"), (1, "30"), (1, "40"), (1, "1000"),
    ]  # fmt: skip


def test_a_table_without_a_key_is_one_part(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (a int, b varchar(9))")
    rows(sql, "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (NULL, '')")
    assert content.divide(TABLE, 1) == ("",)
    before = whole(content, TABLE)
    assert before.records == 4
    assert _summed(recorded(content, TABLE)) == {0: before}
    rows(sql, "DELETE FROM t WHERE a = 1 LIMIT 1")
    rows(sql, "INSERT INTO t VALUES (NULL, '')")
    assert whole(content, TABLE).records == 4
    assert whole(content, TABLE).total != before.total


def test_an_index_that_is_switched_off_is_no_key(
    running: MysqlServer, sql: Connection[Cursor], content: Content
) -> None:
    off = "INVISIBLE" if running.flavour == "mysql" else "IGNORED"
    rows(
        sql,
        f"CREATE TABLE t (a int NOT NULL, b int NOT NULL, UNIQUE KEY last (a), UNIQUE KEY first (b) {off})",
    )
    rows(sql, "INSERT INTO t VALUES (1, 2), (2, 1)")
    division = content.divide(TABLE, 1)
    assert division == ("", '{"a": "2"}')
    assert [digest.records for digest in digests(content, TABLE, division)] == [1, 1]


def test_an_empty_table(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    assert content.divide(TABLE, 10) == ("",)
    assert whole(content, TABLE) == Digest(0, 0)
    assert recorded(content, TABLE) == []


def test_excluded_fields_are_in_no_hash(running: MysqlServer, sql: Connection[Cursor]) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, kept varchar(9), seen datetime)")
    rows(sql, "INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, 'b', NULL)")
    profile = running.profile.model_copy(update={"exclude": {"scratch_first.*": ("seen",)}})
    with Content("mysql", profile, running.endpoint) as content:
        before = whole(content, TABLE)
        assert _summed(recorded(content, TABLE)) == {0: before}
        assert all(record.fields.keys() == {"id", "kept"} for _, record in recorded(content, TABLE))
        rows(sql, "UPDATE t SET seen = now()")
        assert whole(content, TABLE) == before
        rows(sql, "UPDATE t SET kept = 'c' WHERE id = 1")
        assert whole(content, TABLE) != before


def test_a_part_is_read_by_many_requests_at_one_moment(
    sql: Connection[Cursor], content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)")
    with closing(sql.cursor()) as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, 1)", [(id_ * 1003,) for id_ in range(-2000, 2000)])
    before = whole(content, TABLE)
    monkeypatch.setattr("fixtures.stores.mysql_content.FIRST_ROWS", 100)
    slow = _Slow()
    found = content.records(TABLE, ("",), [0], slow)
    first = next(found)
    rows(sql, "UPDATE t SET v = 2")
    assert sum((Digest(1, record.hash) for _, record in [first, *found]), Digest(0, 0)) == before
    assert slow.requests > 10
    after = dict(content.digest(TABLE, ("",), [0], _Slow()))
    assert after == {0: whole(content, TABLE)}
    assert after[0] != before


class _Slow(Pace):
    """The smallest requests there are, none of them waited for, counted."""

    requests = 0

    def next_size(self, records: int, seconds: float) -> int:
        assert records
        assert seconds >= 0
        self.requests += 1
        return self.SMALLEST


def test_a_caller_may_stop(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    with closing(sql.cursor()) as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s)", [(id_,) for id_ in range(30_000)])
    division = content.divide(TABLE, 10)
    reading = content.digest(TABLE, division, range(len(division)), Pace())
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    found = content.records(TABLE, ("",), [0], Pace())
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert whole(content, TABLE).records == 30_000


def test_a_table_that_is_gone_is_no_answer(sql: Connection[Cursor], content: Content) -> None:
    assert sql.open
    for call in (
        lambda: content.divide(TABLE, 10),
        lambda: list(content.digest(TABLE, ("",), [0], Pace())),
        lambda: list(content.records(TABLE, ("",), [0], Pace())),
    ):
        with pytest.raises(Unverifiable, match=r"expected table scratch_first[.]t, observed no table"):
            call()


def test_a_division_by_another_key_is_no_answer(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, v int)")
    for bound in ('{"gone": "1"}', '{"v": "1"}', '{"id": "1 OR 1"}', "5", "{}", "not JSON"):
        with pytest.raises(Unverifiable, match="the table's key was altered"):
            list(content.digest(TABLE, ("", bound), [0], Pace()))


def test_no_server_is_no_answer(running: MysqlServer) -> None:
    with silence() as silent:
        cases = [
            (changed(running.profile, deadline_seconds=1.0), silent, "within 1 s"),
            (running.profile, nowhere(), "refused"),
            (
                with_wrong_password(
                    running.profile.model_copy(
                        update={"reader": Account(user="nobody_here", password=SecretStr("x"))}
                    )
                ),
                running.endpoint,
                "denied",
            ),
        ]
        for profile, endpoint, words in cases:
            with Content("mysql", profile, endpoint) as content:
                for call in (content.schemas, lambda content=content: content.divide(TABLE, 10)):
                    with pytest.raises(Unverifiable, match=words) as failure:
                        call()
                    assert SECRET not in str(failure.value)


def test_a_request_ends_at_the_deadline(running: MysqlServer, sql: Connection[Cursor]) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    rows(sql, "LOCK TABLES t WRITE")
    started = time.monotonic()
    with (
        Content("mysql", changed(running.profile, deadline_seconds=1.0), running.endpoint) as content,
        pytest.raises(Unverifiable, match="within 1 s"),
    ):
        list(content.digest(TABLE, ("",), [0], Pace()))
    assert time.monotonic() > started
    rows(sql, "UNLOCK TABLES")


def test_a_busy_server_is_waited_for(
    content: Content, sql: Connection[Cursor], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    monkeypatch.setattr("fixtures.stores.mysql_content.OTHERS", -10)
    busy = changed(content._profile, deadline_seconds=0.5)
    with Content("mysql", busy, content._reach.endpoint) as impatient:
        pace = Pace(chunk_seconds=0.1)
        assert list(impatient.digest(TABLE, ("",), [0], pace)) == [(0, Digest(0, 0))]
    assert pace.paused_seconds > 0


def test_the_factory_opens_it(target: Target, engine: ContainerEngine) -> None:
    profile = target.stores["mysql"]
    with open_content("mysql", profile, engine) as content:
        assert isinstance(content, Content)
