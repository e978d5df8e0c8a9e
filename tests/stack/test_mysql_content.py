"""MySQL and MariaDB, content: any change of a row changes the digest; on real servers of both."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Unverifiable
from fixtures.stores.content import FIELD_BITS, HASH_BITS, Digest, Pace, RecordHash
from fixtures.stores.factory import open_content
from fixtures.stores.mysql import connect, rows, server
from fixtures.stores.mysql_content import Content
from fixtures.stores.profiles import Account, MysqlProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.mysql import Keeper
from staging.stack import Stack
from tests.stack.mysql_content import CONTENT, DAMAGE
from tests.stack.mysql_server import MysqlServer, mariadb_server, stack_server
from tests.stack.mysql_types import (
    CORRUPTIONS,
    MARIADB_CORRUPTIONS,
    MARIADB_TYPES,
    MYSQL_CORRUPTIONS,
    MYSQL_TYPES,
    TYPES,
)
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence, with_wrong_password

TABLE = "scratch_first.t"
ALL_CORRUPTIONS = {**CORRUPTIONS, **MYSQL_CORRUPTIONS, **MARIADB_CORRUPTIONS}


@pytest.fixture(scope="module", params=["stack", "mariadb"])
def running(
    request: pytest.FixtureRequest,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ContainerControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MysqlServer]:
    """The stack's server, whichever of the two it is; and a MariaDB of the test's own."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "mariadb":
        with mariadb_server(stack.root, folder) as own:
            yield own
        return
    profile = changed(cast("MysqlProfile", target.stores["mysql"]))
    endpoint = engine.resolve(profile.address)
    with closing(connect(Reach("mysql", endpoint, profile.operator, 10))) as connection:
        flavour, _ = server(connection)
    with stack_server(profile, endpoint, control, flavour, folder) as scratch:
        yield scratch


@pytest.fixture
def sql(running: MysqlServer) -> Iterator[Connection[Cursor]]:
    """A connection that may write, to scratch databases that are empty."""
    running.prepare()
    reach = Reach("mysql", running.endpoint, running.profile.operator, 20)
    with closing(connect(reach)) as connection:
        connection.select_db("scratch_first")
        rows(connection, "SET SESSION time_zone = '+00:00', sql_mode = ''")
        yield connection


@pytest.fixture
def content(running: MysqlServer, sql: Connection[Cursor]) -> Iterator[Content]:
    assert sql.open
    with Content("mysql", running.profile, running.endpoint) as content:
        yield content


def _digests(content: Content, division: Sequence[str], table: str = TABLE) -> dict[int, Digest]:
    parts = range(len(division))
    found = list(content.digest(table, division, parts, Pace()))
    assert sorted(part for part, _ in found) == list(parts)
    return dict(found)


def _whole(content: Content, table: str = TABLE) -> Digest:
    return _digests(content, ("",), table)[0]


def _records(content: Content, division: Sequence[str] = ("",)) -> list[tuple[int, RecordHash]]:
    return list(content.records(TABLE, division, range(len(division)), Pace()))


def _summed(found: Sequence[tuple[int, RecordHash]]) -> Mapping[int, Digest]:
    sums: dict[int, Digest] = {}
    for part, record in found:
        assert 0 <= record.hash < 2**HASH_BITS
        assert all(0 <= value < 2**FIELD_BITS for value in record.fields.values())
        sums[part] = sums.get(part, Digest(0, 0)) + Digest(1, record.hash)
    return sums


def _fill(running: MysqlServer) -> None:
    own = MYSQL_TYPES if running.flavour == "mysql" else MARIADB_TYPES
    running.root(TYPES + own, "scratch_first")


@pytest.mark.parametrize("name", ALL_CORRUPTIONS)
def test_any_change_of_a_row_changes_the_digest(
    running: MysqlServer, sql: Connection[Cursor], content: Content, name: str
) -> None:
    other = MARIADB_CORRUPTIONS if running.flavour == "mysql" else MYSQL_CORRUPTIONS
    if name in other:
        pytest.skip(f"a type that {running.flavour} does not have")
    _fill(running)
    before = _whole(content)
    records = {record.key: record for _, record in _records(content)}
    assert before == sum((Digest(1, record.hash) for record in records.values()), Digest(0, 0))
    assert before == _whole(content)
    statements, fields = ALL_CORRUPTIONS[name]
    for statement in statements:
        rows(sql, statement)
    after = _whole(content)
    assert after != before
    now = {record.key: record for _, record in _records(content)}
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
    digests = _digests(content, division)
    whole = _whole(content)
    assert sum(digests.values(), Digest(0, 0)) == whole
    assert whole.records == len(values)
    if size == 1 and "half" not in key:
        assert {digest.records for digest in digests.values()} == {1}
    assert _summed(_records(content, division)) == {
        part: digest for part, digest in digests.items() if digest.records
    }
    # Rows that come between: before the first, after the last, in the middle.
    more = ["", "2023-01-01", "2024-01-01 00:00:30.5", "2025-01-01"] if time_key else [-5, 5, 1000]
    if "varchar(20)" in key or "varbinary" in key:
        more = ["!", "\U0001f600" if "utf" in key else "ÿ", "bb"]
    if time_key:
        more = more[1:]
    _insert(sql, key, more)
    rows(sql, "DELETE FROM t WHERE id = %s", [values[20]])
    later = _digests(content, division)
    assert sum(later.values(), Digest(0, 0)) == _whole(content)
    assert _whole(content).records == len(values) + len(more) - 1


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
    assert {part: digest.records for part, digest in _digests(content, division).items()} == {0: 3, 1: 3}
    assert [(part, record.key) for part, record in _records(content, division)] == [
        (0, "-7"), (0, "10"), (0, "20"), (1, "30"), (1, "40"), (1, "1000"),
    ]  # fmt: skip


def test_a_table_without_a_key_is_one_part(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (a int, b varchar(9))")
    rows(sql, "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (NULL, '')")
    assert content.divide(TABLE, 1) == ("",)
    whole = _whole(content)
    assert whole.records == 4
    assert _summed(_records(content)) == {0: whole}
    rows(sql, "DELETE FROM t WHERE a = 1 LIMIT 1")
    rows(sql, "INSERT INTO t VALUES (NULL, '')")
    assert _whole(content).records == 4
    assert _whole(content).total != whole.total


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
    assert [digest.records for _, digest in sorted(_digests(content, division).items())] == [1, 1]


def test_an_empty_table(sql: Connection[Cursor], content: Content) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY)")
    assert content.divide(TABLE, 10) == ("",)
    assert _whole(content) == Digest(0, 0)
    assert _records(content) == []


def test_excluded_fields_are_in_no_hash(running: MysqlServer, sql: Connection[Cursor]) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, kept varchar(9), seen datetime)")
    rows(sql, "INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, 'b', NULL)")
    profile = running.profile.model_copy(update={"exclude": {"scratch_first.*": ("seen",)}})
    with Content("mysql", profile, running.endpoint) as content:
        before = _whole(content)
        assert _summed(_records(content)) == {0: before}
        assert all(record.fields.keys() == {"id", "kept"} for _, record in _records(content))
        rows(sql, "UPDATE t SET seen = now()")
        assert _whole(content) == before
        rows(sql, "UPDATE t SET kept = 'c' WHERE id = 1")
        assert _whole(content) != before


def test_a_part_is_read_by_many_requests_at_one_moment(
    sql: Connection[Cursor], content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)")
    with closing(sql.cursor()) as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, 1)", [(id_ * 1003,) for id_ in range(-2000, 2000)])
    before = _whole(content)
    monkeypatch.setattr("fixtures.stores.mysql_content.FIRST_ROWS", 100)
    slow = _Slow()
    found = content.records(TABLE, ("",), [0], slow)
    first = next(found)
    rows(sql, "UPDATE t SET v = 2")
    assert sum((Digest(1, record.hash) for _, record in [first, *found]), Digest(0, 0)) == before
    assert slow.requests > 10
    after = dict(content.digest(TABLE, ("",), [0], _Slow()))
    assert after == {0: _whole(content)}
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
    digests = content.digest(TABLE, division, range(len(division)), Pace())
    next(digests)
    digests.close()  # type: ignore[attr-defined]
    found = content.records(TABLE, ("",), [0], Pace())
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert _whole(content).records == 30_000


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


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_in_the_schemas_or_in_a_digest(running: MysqlServer, content: Content, name: str) -> None:
    running.root(CONTENT)
    before = _everything(content)
    assert _everything(content) == before
    running.root(DAMAGE[name])
    if name == "a database dropped":
        with pytest.raises(Unverifiable, match="scratch_second"):
            content.schemas()
    else:
        assert _everything(content) != before


def test_a_restore_gives_back_the_schemas_and_the_digests(
    running: MysqlServer, content: Content, tmp_path: Path
) -> None:
    running.root(CONTENT)
    _fill(running)
    before = _everything(content)
    assert "auto_increment" in before
    keeper = Keeper("mysql", running.profile, running.endpoint, running.control)
    keeper.back_up(tmp_path)
    running.root("; ".join(DAMAGE[name] for name in ("rows deleted", "a view dropped", "a table renamed")))
    running.root("DELETE FROM scratch_first.t; INSERT INTO scratch_first.parent (name) VALUES ('later')")
    assert _everything(content) != before
    keeper.restore(tmp_path)
    assert _everything(content).splitlines() == before.splitlines()


def _everything(content: Content) -> str:
    """Return all schemas, an object a line, and the digest of every table."""
    schemas = content.schemas()
    assert list(schemas) == sorted(schemas)
    digests = {
        name: _whole(content, name) for name in schemas if " " not in name or name.startswith("scratch")
    }
    return "\n".join([*(f"{name}: {schema}" for name, schema in schemas.items()), str(digests)])


def test_a_schema_has_every_part(running: MysqlServer, content: Content) -> None:
    running.root(CONTENT)
    schemas = content.schemas()
    assert {name.partition(" ")[0] for name in schemas if not name.startswith("scratch")} == {
        "database", "event", "function", "procedure", "trigger", "view",
    }  # fmt: skip
    parent = schemas["scratch_first.parent"]
    assert isinstance(parent, dict)
    assert parent["auto_increment"] == 503
    for part, name in (
        ("columns", "length"), ("indexes", "by_name"), ("checks", ""),
    ):  # fmt: skip
        found = parent[part]
        assert isinstance(found, dict)
        assert any(name in one for one in found)
    child = schemas["scratch_first.child"]
    assert isinstance(child, dict)
    assert child["foreign_keys"] == {
        "of_parent": {
            "references": "scratch_first.parent",
            "on_update": child["foreign_keys"]["of_parent"]["on_update"],  # type: ignore[index,call-overload]
            "on_delete": child["foreign_keys"]["of_parent"]["on_delete"],  # type: ignore[index,call-overload]
            "columns": [{"column": "parent", "referenced": "id"}],
        }
    }


def test_the_counter_of_a_table_that_grows_is_not_compared(
    running: MysqlServer, sql: Connection[Cursor]
) -> None:
    rows(sql, "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v int)")
    profile = running.profile.model_copy(update={"policy": {TABLE: "grows"}})
    with Content("mysql", profile, running.endpoint) as content:
        before = content.schemas()
        rows(sql, "INSERT INTO t (v) VALUES (1), (2), (3)")
        assert content.schemas() == before


def test_what_the_account_may_not_see_is_a_blind_spot(running: MysqlServer) -> None:
    running.prepare()
    running.root(CONTENT)
    with Content("mysql", running.profile, running.endpoint) as content:
        content.schemas()
        assert not [spot for spot in content.blind_spots if "privilege" in spot]
    running.root(
        f"CREATE USER scratch_blind@'%' IDENTIFIED BY '{SECRET}';"
        f" GRANT SELECT ON `scratch\\_first`.* TO scratch_blind@'%'"
    )
    try:
        blind = Account(user="scratch_blind", password=SecretStr(SECRET))
        profile = running.profile.model_copy(update={"reader": blind, "databases": ("scratch_first",)})
        with Content("mysql", profile, running.endpoint) as content:
            schemas = content.schemas()
            spots = "\n".join(content.blind_spots)
        assert not [name for name in schemas if name.startswith(("trigger", "event", "procedure"))]
        assert "triggers of scratch_first: the account has no privilege of TRIGGER" in spots
        assert "events of scratch_first: the account has no privilege of EVENT" in spots
        assert "routines of scratch_first" in spots
        assert "the body of view scratch_first.seen" in spots
    finally:
        running.root("DROP USER scratch_blind@'%'")


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
