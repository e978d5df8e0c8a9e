"""Advice on the text of a migration: what it plainly says; anything else is not judged."""

from __future__ import annotations

import textwrap

import pytest

from rollproof.migrations.advice import NOT_JUDGED, of_revision, of_sql

LOST = "what it holds is lost"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("DROP TABLE users;", LOST),
        ("TRUNCATE TABLE users;", LOST),
        ("ALTER TABLE users DROP COLUMN email, ADD COLUMN mail TEXT;", LOST),
        ("ALTER TABLE users RENAME COLUMN email TO mail;", "the old code asks for the old name"),
        ("ALTER TABLE users RENAME TO people;", "the old code asks for the old name"),
        ("ALTER TABLE users MODIFY email VARCHAR(9);", "values that do not fit"),
        ("ALTER TABLE users ADD CONSTRAINT c UNIQUE (email);", "what the old code writes"),
        ("DELETE FROM users;", "every record"),
        ("UPDATE users SET a = 1;", "every record"),
        ("CALL consolidate();", NOT_JUDGED),
        ("DELIMITER //\nCREATE PROCEDURE p() BEGIN DROP TABLE users; END//", NOT_JUDGED),
        ("ALTER TABLE users FORCE;", NOT_JUDGED),
        ("SELECT 'an unclosed text", NOT_JUDGED),
    ],
)
def test_what_a_statement_says(text: str, advice: str) -> None:
    found = [*of_sql(text, "mysql")]
    assert found
    assert all(advice in said for _, said in found), found


def test_what_only_adds_is_passed_over() -> None:
    text = "CREATE TABLE t (a INT);\nALTER TABLE t ADD COLUMN b TEXT;\nDELETE FROM t WHERE a = 1;"
    assert [*of_sql(text, "mysql")] == []


def revision(body: str) -> str:
    upgrade = textwrap.indent(textwrap.dedent(body), "    ")
    return f"def upgrade():\n{upgrade}\n\ndef downgrade():\n    op.drop_table('new')\n"


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("op.drop_column('users', 'email')", LOST),
        ("with op.batch_alter_table('users') as batch:\n    batch.drop_column('email')", LOST),
        ("op.rename_table('users', 'people')", "the old code asks for the old name"),
        ("op.alter_column('users', 'email', type_=sa.String(9))", "another type"),
        ("op.create_unique_constraint('c', 'users', ['email'])", "what the old code writes"),
        ("op.execute('DROP TABLE users')", LOST),
        ("op.execute(sa.text('DROP TABLE users'))", LOST),
        ("op.execute(f'DROP TABLE {name}')", NOT_JUDGED),
        ("op.run_async(work)", NOT_JUDGED),
    ],
)
def test_what_an_operation_says(body: str, advice: str) -> None:
    ((line, said),) = of_revision(revision(body), "mysql")
    assert advice in said
    assert line in {2, 3}


@pytest.mark.parametrize("text", ["def up():\n    pass\n", "def upgrade(:\n"])
def test_python_that_is_no_revision_is_not_judged(text: str) -> None:
    assert [NOT_JUDGED in said for _, said in of_revision(text, "mysql")] == [True]
