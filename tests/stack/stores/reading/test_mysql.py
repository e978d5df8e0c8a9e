"""MySQL and MariaDB alone: locks, moments, keys that are none, and what an account may not see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from rollproof.contract.subject import digests, recorded, whole
from rollproof.errors import Unverifiable
from rollproof.judgement.judge import schema_differences
from rollproof.profile.sections import Policy
from rollproof.stores.contract import Digest, Pace, Unlisted
from rollproof.stores.reader import Reader
from tests.stack.mysql_server import OPERATOR
from tests.stack.scratch_stores import expect_unverifiable
from tests.stack.stores.mysql import Mysql

STORES = ("mysql", "mariadb")
SHAPE = "scratch_first.shape"
pytestmark = pytest.mark.usefixtures("mended")


def _made(subject: Mysql, columns: str, *values: str) -> str:
    """Make a table; `mended` drops it."""
    subject.sql(f"CREATE TABLE shape ({columns})")
    if values:
        subject.sql(f"INSERT INTO shape VALUES {', '.join(values)}")  # noqa: S608 - constants
    return SHAPE


def test_a_table_without_a_key_is_one_part(subject: Mysql, content: Reader) -> None:
    made = _made(subject, "a int, b varchar(9)", "(1, 'x')", "(1, 'x')", "(NULL, NULL)", "(NULL, '')")
    assert content.divide(made, 1) == ("",)
    before = whole(content, made)
    found = [record.hash for _, record in recorded(content, made)]
    assert before == Digest(4, sum(found))
    subject.sql("DELETE FROM shape WHERE a = 1 LIMIT 1")
    subject.sql("INSERT INTO shape VALUES (NULL, '')")
    after = whole(content, made)
    assert after.records == 4
    assert after.total != before.total


def test_names_are_read_of_any_column_and_in_any_spelling(subject: Mysql) -> None:
    columns = "`100% of` varchar(9) PRIMARY KEY, `%s` varchar(9) COLLATE utf8mb4_general_ci"
    made = _made(subject, columns, "('one', 'A')", "('two', 'a')", "('three', 'ä')")
    fields = ["%s", "100% of"]
    every = {("A", "one"), ("a", "two"), ("ä", "three")}
    with subject.reader() as view:
        assert {*view.names(made, fields, {})} == every
        assert [*view.names(made, fields, {"100% of": "two"})] == [("a", "two")]
        assert view.held(made, fields, [*every, ("b", "one")]) == every
        assert view.held(made, ["%s"], [("A",), ("a",), ("ä",)]) == {("A",), ("a",), ("ä",)}


def test_an_index_that_is_switched_off_is_no_key(subject: Mysql, content: Reader) -> None:
    off = "INVISIBLE" if subject.running.flavour == "mysql" else "IGNORED"
    columns = f"a int NOT NULL, b int NOT NULL, UNIQUE KEY last (a), UNIQUE KEY first (b) {off}"
    made = _made(subject, columns, "(1, 2)", "(2, 1)")
    division = content.divide(made, 1)
    assert division == ("", '{"a": "2"}')
    assert [digest.records for digest in digests(content, made, division)] == [1, 1]


class _Slow(Pace):
    """The smallest requests there are, none of them waited for, counted."""

    requests = 0

    def next_size(self, records: int, seconds: float) -> int:
        assert records
        assert seconds >= 0
        self.requests += 1
        return self.SMALLEST


def test_a_part_is_read_by_many_requests_at_one_moment(
    subject: Mysql, content: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made(subject, "id int PRIMARY KEY, v int NOT NULL")
    with closing(subject.connection.cursor()) as cursor:
        cursor.executemany("INSERT INTO shape VALUES (%s, 1)", [(n * 1003,) for n in range(-700, 700)])
    before = whole(content, made)
    monkeypatch.setattr("rollproof.stores.mysql.reader.FIRST_ROWS", 100)
    slow = _Slow()
    found = content.records(made, ("",), [0], slow)
    first = next(found)
    subject.sql("UPDATE shape SET v = 2")
    assert sum((Digest(1, record.hash) for _, record in [first, *found]), Digest(0, 0)) == before
    assert slow.requests > 10
    after = dict(content.digest(made, ("",), [0], _Slow()))
    assert after == {0: whole(content, made)}
    assert after[0] != before


def test_a_locked_table_is_no_answer_until_it_is_free(subject: Mysql) -> None:
    subject.sql("LOCK TABLES many WRITE")
    try:
        expect_unverifiable(subject.reader(deadline_seconds=1.0), "within 1 s")
        with (
            subject.reader(deadline_seconds=1.0) as content,
            pytest.raises(Unverifiable, match="within 1 s"),
        ):
            list(content.digest(subject.many, ("",), [0], Pace()))
        with subject.reader(deadline_seconds=5.0) as view:
            with pytest.raises(Unverifiable, match="within 5 s"):
                view.counts()
            subject.sql("UNLOCK TABLES")
            assert view.counts() == subject.counts
    finally:
        subject.sql("UNLOCK TABLES")


def test_the_counter_of_a_table_that_grows_is_not_compared(subject: Mysql) -> None:
    made = _made(subject, "id int PRIMARY KEY AUTO_INCREMENT, v int")
    with subject.reader(policy={made: Policy.GROWS}) as grows, subject.reader() as exact:
        before = grows.schemas(), exact.schemas()
        subject.sql("INSERT INTO shape (v) VALUES (1), (2), (3)")
        assert grows.schemas() == before[0]
        assert exact.schemas() != before[1]


@pytest.fixture
def seer(subject: Mysql) -> Iterator[Mysql]:
    """The subject, whose account may read accounts; variables that a test sets are put back."""
    root = subject.running.root
    root(f"CREATE USER scratch_ann@'%'; GRANT SELECT ON mysql.* TO {OPERATOR}@'%'")
    try:
        yield subject
    finally:
        root("DROP USER IF EXISTS scratch_ann@'%', scratch_eve@'%'; DROP ROLE IF EXISTS scratch_role")
        root(f"REVOKE SELECT ON mysql.* FROM {OPERATOR}@'%'")  # noqa: S608 - a constant
        root("DROP PROCEDURE IF EXISTS scratch_first.shared")
        root("SET GLOBAL max_connect_errors = DEFAULT; DROP DATABASE IF EXISTS scratch_outside")


def _differences(content: Reader, change: str, subject: Mysql) -> list[str]:
    before = content.unlisted() or Unlisted()
    assert (content.unlisted() or Unlisted()) == before
    subject.running.root(change)
    after = content.unlisted() or Unlisted()
    return [text for _, text in schema_differences(dict(before.compared), dict(after.compared))]


STATEMENTS = (
    ("CREATE USER scratch_eve@'%' IDENTIFIED BY 'scratch secret'", "account 'scratch_eve'@'%'"),
    ("GRANT SELECT ON scratch_first.* TO scratch_ann@'%' WITH GRANT OPTION", "account 'scratch_ann'@'%'"),
    (
        "CREATE ROLE scratch_role; GRANT scratch_role TO root@localhost",
        "account 'root'@'localhost'.grants",
    ),
    (
        (
            "CREATE PROCEDURE scratch_first.shared() SELECT 1;"
            " GRANT EXECUTE ON PROCEDURE scratch_first.shared TO scratch_ann@'%'"
        ),
        "account 'scratch_ann'@'%'",
    ),
    ("ALTER USER scratch_ann@'%' REQUIRE SSL", "account 'scratch_ann'@'%'.ssl_type: expected"),
    ("SET GLOBAL max_connect_errors = 17", "variable max_connect_errors: expected"),
)


def test_accounts_grants_and_variables_are_seen(
    seer: Mysql, content: Reader, subtests: pytest.Subtests
) -> None:
    for statement, name in STATEMENTS:
        with subtests.test(statement):
            found = _differences(content, statement, seer)
            assert any(line.startswith(name) for line in found), found
            assert "scratch secret" not in str(found)


def test_another_order_of_texts_is_seen(seer: Mysql, content: Reader) -> None:
    """By the server's default, and of each collation in use by what the server says of it."""
    ((before,),) = seer.sql("SELECT @@GLOBAL.collation_server")
    try:
        found = _differences(content, "SET GLOBAL collation_server = 'utf8mb4_unicode_520_ci'", seer)
    finally:
        seer.running.root(f"SET GLOBAL collation_server = '{before}'")
    assert any(line.startswith("variable collation_server: expected") for line in found), found
    used = content.schemas()["collation utf8mb4_general_ci"]
    assert isinstance(used, dict)
    assert used["id"] == 45
    assert {"is_compiled", "sortlen"} <= used.keys()


def test_an_account_that_may_not_read_accounts_says_so(content: Reader) -> None:
    found = content.unlisted() or Unlisted()
    assert "accounts and grants: SELECT on mysql.*" in found.unread
    assert not any(name.startswith("account ") for name in found.compared)
    assert any(name.startswith("variable ") for name in found.compared)


def test_a_database_outside_of_the_profile_is_named(seer: Mysql, content: Reader) -> None:
    seer.running.root("CREATE DATABASE scratch_outside")
    assert "database scratch_outside" in (content.unlisted() or Unlisted()).outside


def test_a_read_only_server_is_not_read(subject: Mysql, content: Reader) -> None:
    content.schemas()
    try:
        subject.running.root("SET GLOBAL read_only = 1")
        content.close()
        with pytest.raises(Unverifiable, match="observed a read-only one"):
            content.schemas()
    finally:
        subject.running.root("SET GLOBAL read_only = 0")
    content.schemas()
