"""Migrations: whatever SQL or Python they hold, each is judged, or said not to be, and nothing is raised."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.migrations.finding import Linted
from rollproof.migrations.lint import ChangedFile, lint
from tests.fuzz.growth import TIMES, is_linear
from tests.unit.migrations.test_undoable_alembic import revision
from tests.unit.migrations.test_undoable_sql import BEFORE

SQL = [
    *("SELECT 1", "DROP TABLE users", "DELETE FROM users", "DELETE F", "UPDATE users SET", "TRUNCATE", "SET"),
    *(
        "ALTER TABLE users",
        "MODIFY name",
        "DROP COLUMN",
        "ADD x INT",
        "RENAME TO",
        "CREATE TABLE archive.users",
    ),
    *(
        "INSERT INTO users VALUES (1)",
        "WITH x AS (SELECT 1)",
        "WHERE id = id",
        "JOIN plain ON",
        "DELIMITER //",
    ),
    *("CREATE PROCEDURE p() BEGIN", "END", "IF", "CALL p()", "PREPARE s FROM 'x'", "LOAD DATA", "REPLACE"),
    *(
        ";",
        "//",
        ",",
        "(",
        ")",
        "'",
        '"',
        "`",
        "--",
        "#",
        "/*",
        "*/",
        "/*!50000",
        "\\",
        "\n",
        "\0",
        "@@x",
        "?",
        "%s",
    ),
    *("é", "\N{ZERO WIDTH NO-BREAK SPACE}", "(" * 300, "1+" * 1500 + "1", "NOT " * 900, "CASE WHEN " * 200),
]
PYTHON = [
    *(
        "op.drop_table('users')",
        "op.execute(",
        "op.execute('DROP TABLE users')",
        "op.get_bind()",
        "downgrade()",
    ),
    *("with op.batch_alter_table('users') as b:", "b.drop_column('name')", "op.alter_column('users', 'name'"),
    *(
        "for x in (1, 2):",
        "if True:",
        "def f():",
        "lambda: 0",
        "class A: pass",
        "import alembic",
        "globals()",
    ),
    *("session.query(User).delete()", "f'{x!r:>{y}}'", "'%s' % x", "**{'a': 1}", "*x", "=", "x", "1" * 5000),
    *(
        "(",
        ")",
        "[",
        "]",
        ",",
        "'",
        '"""',
        "\\",
        "\n",
        "\n    ",
        "\t",
        "\0",
        "#",
        "é",
        "(" * 150,
        "-" * 4000 + "1",
    ),
]
FIRST = ["", "CREATE PROCEDURE p() ", "CREATE PROCEDURE p() BEGIN ", "INSERT INTO users VALUES ", "/*!50000 "]
REPEATED = [
    *(
        " ",
        "\n",
        ";",
        "; ",
        "delimiter x",
        "\ndelimiter ;\n",
        "a",
        "a: ",
        "'a'",
        "`a`.",
        "(1), ",
        "-- x\n",
        "/* x */",
    ),
    *(
        "BEGIN ",
        "IF a THEN ",
        "CASE ",
        "WHEN ",
        "DECLARE ",
        "HANDLER ",
        "CREATE EVENT e DO ",
        "END; ",
        "SELECT 1;",
    ),
    *("DROP ", "PARTITION ", "DROP TABLE users;", "UPDATE users SET age = 1;", "%(a", "@@x ", "é", "\\"),
]
LEAST = 1_000
LONGEST = 4_000


def _judged(path: str, text: str) -> Linted:
    found = lint("f" * 40, ("*",), [ChangedFile(path, text.encode(), added=True)], {path: text}, BEFORE)
    for finding in found.findings:
        assert len(f"{finding.what}{finding.why}") < LONGEST
    return found


@given(st.lists(st.sampled_from(SQL), max_size=12).map(" ".join))
@example("DELETE F")
@example("SELECT " + "(" * 3000)
@example("SELECT " + "1+" * 20_000 + "1")
def test_whatever_a_file_of_sql_holds(text: str) -> None:
    _judged("migrations/1.sql", text)


@given(st.sampled_from(FIRST), st.lists(st.sampled_from(REPEATED), min_size=1, max_size=2).map("".join))
@example("", " ")
@example("", ";delimiter x")
@example("CREATE PROCEDURE p() ", "DECLARE x HANDLER BEGIN ")
@example("CREATE PROCEDURE p() BEGIN ", "CREATE EVENT e DO ")
def test_a_file_of_sql_is_judged_in_linear_time(first: str, unit: str) -> None:
    small, large = (f"{first}{unit * (least // len(unit) + 1)}" for least in (LEAST, TIMES * LEAST))
    assert is_linear(lambda text: _judged("migrations/1.sql", text), small, large)


@given(st.lists(st.sampled_from(PYTHON), max_size=8).map(" ".join))
@example("op.execute(" + "-" * 20_000 + "1)")
@example("x = " + "[" * 300)
def test_whatever_a_revision_does(text: str) -> None:
    _judged("alembic/versions/b.py", revision(text))


@given(st.lists(st.sampled_from([*PYTHON, *SQL]), max_size=8).map(" ".join), st.booleans())
def test_whatever_is_in_the_text_of_a_statement(text: str, called: bool) -> None:  # noqa: FBT001 - made up
    _judged("alembic/versions/b.py", revision(f"op.execute({text!r})" if called else f"x = {text!r}"))


@given(st.binary(max_size=60), st.sampled_from(["b.py", "b.sql", "b.txt", "é.sql"]))
def test_whatever_a_file_is(data: bytes, name: str) -> None:
    tree = {name: data.decode("utf-8", "replace")}
    lint("f" * 40, ("*",), [ChangedFile(name, data, added=True)], tree, BEFORE)
