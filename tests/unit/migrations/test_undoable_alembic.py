"""What an alembic revision cannot undo: read, never run; and the chain that it belongs to."""

from __future__ import annotations

import pytest

from rollproof.migrations.finding import Finding, Judgement, Linted
from rollproof.migrations.lint import ChangedFile, lint
from rollproof.migrations.models import ChangedCode
from tests.unit.migrations.test_undoable_sql import BEFORE

PATH = "alembic/versions/b_second.py"
HEAD = """
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "b"
down_revision: str | None = "a"
LATER = "DROP TABLE users"
"""
FIRST = 'revision = "a"\ndown_revision = None\n'
DOWN = "def downgrade():\n    op.execute('SELECT 1')\n"


def revision(up: str, down: str = DOWN) -> str:
    """Return the text of a revision that does `up`, and `down` on its way back."""
    return f"{HEAD}\ndef upgrade():\n" + "".join(f"    {line}\n" for line in up.splitlines()) + down


def linted(text: str, path: str = PATH, **others: str) -> Linted:
    """Return what is found in one file, in a tree with the first revision and `others`."""
    tree = {path: text, "alembic/versions/a.py": FIRST}
    tree |= {f"alembic/versions/{name}.py": other for name, other in others.items()}
    return lint("f" * 40, ("*",), [ChangedFile(path, text.encode(), added=True)], tree, BEFORE)


def of_revision(up: str, down: str = DOWN) -> list[Finding]:
    return list(linted(revision(up, down)).findings)


LOST = {
    "op.drop_table('users')": "drop_table users: its records are gone",
    "op.drop_column('users', 'name')": "drop_column users.name: its values are gone",
    "op.drop_column(table_name='users', column_name='name')": "drop_column users.name",
    "op.drop_constraint('f', 'users', type_='foreignkey')": "drop_constraint users",
    "op.drop_index('ix_name', table_name='users')": "it is unique",
    "op.rename_table('users', 'people')": "rename_table users",
    "op.alter_column('users', 'name', new_column_name='title')": "alter_column users.name to another name",
    "op.alter_column('users', 'name', type_=sa.String(50))": "from varchar(100) to varchar(50)",
    "op.alter_column('users', 'name', type_=sa.String(length=50))": "from varchar(100) to varchar(50)",
    "op.alter_column('users', 'id', type_=mysql.INTEGER(unsigned=True))": "from int to int unsigned",
    "op.alter_column('users', 'name', nullable=False)": "NULL is not allowed any more",
    "op.alter_column('users', 'name', server_default=None)": "without a server_default",
    # The revision's own word counts where the baseline knows nothing, and only there.
    "op.alter_column('x', 'y', type_=sa.Integer(), existing_type=sa.BigInteger())": "from bigint to int",
    "op.alter_column('users', 'name', type_=sa.String(60), existing_type=sa.String(40))": "from varchar(100)",
    "op.alter_column('x', 'y', type_=sa.Enum('a'), existing_type=sa.Enum('a', 'b'))": "from enum('a','b')",
    "op.add_column('users', sa.Column('x', sa.Integer(), nullable=False))": "without a server_default",
    "op.add_column('users', sa.Column('x', sa.Integer(), unique=True, server_default='1'))": "unique with",
    "op.create_index('u', 'users', ['age'], unique=True)": "create_index users, unique",
    "op.create_unique_constraint('u', 'users', ['age'])": "create_unique_constraint users",
    "op.create_foreign_key('f', 'users', 'plain', ['name'], ['code'])": "create_foreign_key users",
    "op.create_check_constraint('c', 'users', 'age > 1')": "create_check_constraint users",
    "op.execute('DELETE FROM users')": "DELETE of users without a condition",
    "op.execute(sa.text('TRUNCATE users'))": "TRUNCATE of users",
    "op.execute('DELETE '\n  'FROM users')": "DELETE of users without a condition",
    "op.execute(LATER)": "DROP TABLE users",
    "op.get_bind().execute(sa.text('DROP TABLE users'))": "DROP TABLE users",
    "bind = op.get_bind()\nbind.exec_driver_sql('DROP TABLE users')": "DROP TABLE users",
    "if True:\n  for t in ('a',):\n    op.drop_table(t)": "drop_table a table",
    "with op.batch_alter_table('users') as batch:\n  batch.drop_column('name')": "drop_column users.name",
    "with op.batch_alter_table('users') as b:\n  b.alter_column('name', type_=sa.String(9))": "to varchar(9)",
    "with op.batch_alter_table('users') as b:\n  b.drop_constraint('c')": "drop_constraint users",
    "with op.batch_alter_table('users') as b:\n  b.create_unique_constraint('u', ['age'])": "create_unique",
}
BY_ANOTHER_NAME = {
    # By its full path, by another name, by way of the way down.
    "import alembic\nalembic.op.drop_table('users')": "drop_table users",
    "import alembic.op\nalembic.op.drop_column('users', 'name')": "drop_column users.name",
    "import alembic.op as o\no.drop_table('users')": "drop_table users",
    "from alembic import op as o\no.execute('DROP TABLE users')": "DROP TABLE users",
    "import sqlalchemy\nop.execute(sqlalchemy.text('DROP TABLE users'))": "DROP TABLE users",
    # Each batch has its own table, though they share a name.
    "with op.batch_alter_table('users') as b:\n  b.drop_column('name')\n"
    "op.create_table('fresh')\nwith op.batch_alter_table('fresh') as b:\n  b.drop_column('a')": "users.name",
    # A name alone says nothing.
    "op.create_table('users', schema='archive')\nop.drop_table('users')": "drop_table users",
    "op.create_table('x', if_not_exists=True, schema='o')\nop.drop_table('x', schema='o')": "drop_table o.x",
    "op.create_table('users', if_not_exists=True)\nop.drop_table('users')": "drop_table users",
    "op.create_table(one)\nop.drop_table(other)": "drop_table a table",
    "op.add_column(one, sa.Column('name', sa.Text()))\nop.drop_column(other, 'name')": "drop_column a table",
    "op.add_column('users', sa.Column('id'), if_not_exists=True)\nop.drop_column('users', 'id')": "users.id",
    "op.execute('USE archive')\nop.create_table('users')\nop.execute('USE app')\nop.drop_table('users')": (
        "drop_table app.users"
    ),
    "op.create_table('fresh')\nop.drop_table('fresh')\nop.drop_table('fresh')": "drop_table fresh",
    "op.alter_column('users', 'name', server_default=sa.Computed('1'))": "computed anew",
}
UNREAD = (
    # Handed to a helper, or to a value that does it.
    "def helper(b):\n  b.drop_column('name')\nwith op.batch_alter_table('users') as b:\n  helper(b)",
    "def helper(run):\n  run('DROP TABLE users')\nhelper(op.get_bind().execute)",
    "run = op.get_bind().execute\nrun('DROP TABLE users')",
    "run = op.execute\nrun('DROP TABLE users')",
    "list(map(op.get_bind().execute, ['DROP TABLE users']))",
    "(lambda: op)().drop_table('users')",
    "globals()['down' + 'grade']()",
    "exec('op.drop_table(1)')",
    "op.get_bind().execute(statement=sa.text('SELECT 1'))",
    "op.get_bind().connection.cursor().executemany('DELETE FROM users WHERE id = %s', rows)",
    "op.get_bind().connection.cursor().callproc('purge')",
    # ORM writes.
    "session = sa.orm.Session(op.get_bind())\nsession.commit()",
    "from sqlalchemy.orm import Session\nSession(op.get_bind()).commit()",
    "from sqlalchemy import orm\norm.Session(op.get_bind()).commit()",
    "import sqlalchemy.orm as o\no.Session(op.get_bind()).flush()",
    "session.bulk_update_mappings(User, [{}])",
    "sa.event.listen(engine, 'connect', purge)",
    "sa.create_engine('mysql://').execute('SELECT 1')",
    "sa.Table('users', sa.MetaData()).drop(op.get_bind())",
    "sa.MetaData().drop_all(op.get_bind())",
    "sa.DDL('DROP TABLE users')(None, op.get_bind())",
    # A constant of another value in the end.
    "LATER = 'SELECT 1'\nop.execute(LATER)",
    "text = made\nop.execute(text('SELECT 1'))",
    "op = made\nop.drop_table('users')",
    "op.alter_column('users', 'name', type_=sa.String(200), autoincrement=False)",
)
READ_ONLY = (
    "if 'x' not in [c['name'] for c in sa.inspect(op.get_bind()).get_columns('users')]:\n"  # noqa: ISC004 - one
    "  op.add_column('users', sa.Column('x', sa.Integer()))",
    "with op.get_context().autocommit_block():\n  op.execute('SELECT 1')",
    "rows = op.get_bind().execute(sa.text('SELECT id FROM users')).fetchall()\nprint(len(rows))",
    "count = op.get_bind().execute(sa.text('SELECT 1')).scalar()\nif count:\n  raise ValueError(str(count))",
    "with op.batch_alter_table('users', schema=None) as batch_op:\n"  # noqa: ISC004 - one
    "  batch_op.add_column(sa.Column('x', mysql.VARCHAR(length=9), nullable=True))\n"
    "  batch_op.create_index(batch_op.f('ix_users_x'), ['x'], unique=False)\n"
    "with op.batch_alter_table('plain', schema=None) as batch_op:\n"
    "  batch_op.add_column(sa.Column('x', sa.DateTime(), server_default=sa.text('now()'), nullable=False))",
)
UNJUDGED = {
    "op.execute(f'DROP TABLE {LATER}')": "not written there",
    "op.execute(made())": "not written there",
    "op.execute(users.delete())": "not written there",
    "op.get_bind().execute(statement)": "not written there",
    "session.query(User).delete()": "call of delete",
    "metadata.drop_all(bind)": "call of drop_all",
    "op.alter_column('x', 'y', type_=sa.String(5))": "not in the baseline",
    "op.alter_column('users', 'name', type_=sa.String(length))": "not known here",
    "op.alter_column('users', 'name', type_=OurType())": "not known here",
    "op.alter_column('users', 'name', nullable=maybe)": "not known here",
    "op.alter_column('x', 'y', nullable=False, existing_type=sa.Integer())": "whether NULL was allowed",
    "op.add_column('users', made())": "its column is not written there",
    "op.add_column('users', sa.Column('x', sa.Integer(), nullable=maybe))": "not written there",
    "op.drop_index(name, table_name='users')": "which one it is",
    "op.drop_index('ix_name')": "which one it is",
    "op.drop_index('i', table_name='unknown')": "not in the baseline",
    "op.run_async(main)": "such an operation is not known",
    "op.drop_table(*tables)": "its arguments are not written there",
    "op.drop_table(**tables)": "its arguments are not written there",
    "helper(op)": "it is handed on",
    "getattr(op, 'drop_table')('users')": "it is handed on",
    "from app.models import User": "import of app",
    "import os": "import of os",
    "from alembic.op import drop_table": "import of alembic.op",
}
HARMLESS = (
    "op.create_table('fresh', sa.Column('a', sa.Integer(), nullable=False))",
    "op.create_table('fresh')\nop.create_index('u', 'fresh', ['a'], unique=True)\nop.drop_table('fresh')",
    "op.add_column('users', sa.Column('x', sa.Integer(), nullable=True))",
    "op.add_column('users', sa.Column('x', sa.Integer(), nullable=False, server_default='0'))",
    "op.add_column('users', sa.Column('x', sa.Integer()))\nop.drop_column('users', 'x')",
    "op.create_index(op.f('ix_age'), 'users', ['age'], unique=False)",
    "op.bulk_insert(sa.table('users'), [{'id': 1}])",
    "op.alter_column('users', 'name', type_=sa.String(200), existing_type=sa.String(100))",
    "op.alter_column('users', 'id', type_=sa.BigInteger(), nullable=False)",
    "op.alter_column('x', 'y', type_=sa.Text(), existing_type=sa.String(9), existing_nullable=True)",
    "op.alter_column('users', 'password', nullable=True)",
    "with op.batch_alter_table('users') as batch:\n  batch.add_column(sa.Column('x', sa.Integer()))",
    "op.execute('INSERT INTO users (id) VALUES (1)')",
)


@pytest.mark.parametrize("up", LOST)
def test_what_cannot_be_undone_is_seen(up: str) -> None:
    lost = [finding for finding in of_revision(up) if finding.judgement is Judgement.LOST]
    assert any(LOST[up] in str(finding) for finding in lost), list(map(str, of_revision(up)))
    assert all(finding.line > len(HEAD.splitlines()) for finding in lost)


@pytest.mark.parametrize("up", BY_ANOTHER_NAME)
def test_what_is_lost_by_another_name_is_lost(up: str) -> None:
    lost = [str(finding) for finding in of_revision(up) if finding.judgement is Judgement.LOST]
    assert any(BY_ANOTHER_NAME[up] in finding for finding in lost), list(map(str, of_revision(up)))


@pytest.mark.parametrize("up", UNREAD)
def test_what_is_done_elsewhere_is_not_judged(up: str) -> None:
    assert Judgement.UNJUDGED in {finding.judgement for finding in of_revision(up)}


@pytest.mark.parametrize("up", READ_ONLY)
def test_what_revisions_do_every_day_is_judged(up: str) -> None:
    assert list(map(str, of_revision(up))) == []


def test_the_way_up_that_goes_down_is_read_there() -> None:
    down = "def downgrade():\n    op.drop_table('users')\n"
    assert [finding.what for finding in of_revision("downgrade()", down)] == ["drop_table users"]
    assert [finding.what for finding in of_revision("for f in (downgrade,):\n  f()", down)] == [
        "call of f",
        "drop_table users",
    ]


@pytest.mark.parametrize("deep", ["-" * 100_000 + "1", "+".join(["1"] * 5_000), "a" + ".b" * 5_000])
def test_an_expression_that_is_too_deep_is_not_judged(deep: str) -> None:
    text = revision(f"op.execute({deep})")
    found = linted(text, a2=f"{FIRST}\nx = {deep}\n").findings
    assert {finding.judgement for finding in found} >= {Judgement.UNJUDGED}
    assert any("Error" in finding.why for finding in found)


def test_a_table_that_another_file_makes_may_be_made_after_it() -> None:
    files = {"a.sql": "CREATE TABLE unseen.t (a INT)", "b.sql": "DROP TABLE unseen.t"}
    changed = [ChangedFile(path, text.encode(), added=True) for path, text in files.items()]
    assert [f.what for f in lint("f" * 40, ("*",), changed, {}, BEFORE).lost] == ["DROP TABLE unseen.t"]


@pytest.mark.parametrize("up", UNJUDGED)
def test_what_is_not_written_there_is_not_taken_for_harmless(up: str) -> None:
    unjudged = [finding for finding in of_revision(up) if finding.judgement is Judgement.UNJUDGED]
    assert any(UNJUDGED[up] in str(finding) for finding in unjudged), list(map(str, of_revision(up)))


@pytest.mark.parametrize("up", HARMLESS)
def test_what_only_adds_is_harmless(up: str) -> None:
    assert list(map(str, of_revision(up))) == []


@pytest.mark.parametrize(
    "down",
    [
        "",
        "def downgrade():\n    pass\n",
        "def downgrade():\n    '''Nothing.'''\n",
        "def downgrade():\n    ...\n",
        "def downgrade():\n    return\n",
        "def downgrade():\n    return None\n",
        "def downgrade():\n    raise NotImplementedError\n",
        "def downgrade():\n    '''No.'''\n    raise RuntimeError('one way')\n",
    ],
)
def test_a_revision_without_a_way_down_is_lost(down: str) -> None:
    (finding,) = of_revision("op.add_column('users', sa.Column('x', sa.Integer()))", down)
    assert (finding.judgement, finding.why) == (Judgement.LOST, "there is no way down")


def test_a_revision_that_only_joins_two_needs_no_way_down() -> None:
    assert of_revision("pass", "def downgrade():\n    pass\n") == []


def test_the_way_down_may_drop_what_the_way_up_adds() -> None:
    down = "def downgrade():\n    op.drop_column('users', 'x')\n    op.drop_table('users')\n"
    assert of_revision("op.add_column('users', sa.Column('x', sa.Integer()))", down) == []


def test_a_function_that_the_way_up_calls_is_read_too() -> None:
    helper = "def helper():\n    op.drop_table('users')\n\n"
    (finding,) = of_revision("helper()", helper + DOWN)
    assert finding.what == "drop_table users"


def test_a_renamed_op_is_op() -> None:
    text = (
        revision("o.drop_table('users')")
        .replace("import op\n", "import op as o\n")
        .replace("op.exe", "o.exe")
    )
    assert [finding.what for finding in linted(text).lost] == ["drop_table users"]


def test_nothing_is_run() -> None:
    assert (
        linted(revision("raise SystemExit('it was run')") + "\nraise SystemExit('it was run')\n").findings
        == ()
    )


GOOD = revision("op.add_column('users', sa.Column('x', sa.Integer()))")


def test_a_chain_with_one_head_is_whole() -> None:
    assert linted(GOOD).findings == ()
    assert linted(GOOD).summary == "1 files of the migration can be undone"


@pytest.mark.parametrize(
    ("others", "what"),
    [
        ({"c": 'revision = "c"\ndown_revision = "a"\n'}, "heads b, c of the revisions"),
        ({"c": 'revision = "c"\ndown_revision = "x"\n'}, "revision c after x"),
        ({"c": 'revision = "b"\ndown_revision = "a"\n'}, "revision b"),
        ({"c": 'revision = "c"\ndown_revision = ("b", "x")\n'}, "revision c after x"),
    ],
)
def test_a_chain_that_is_broken_is_seen(others: dict[str, str], what: str) -> None:
    assert what in [finding.what for finding in linted(GOOD, **others).lost]


def test_two_heads_that_are_joined_are_one() -> None:
    others = {
        "c": 'revision = "c"\ndown_revision = "a"\n',
        "d": 'revision = "d"\ndown_revision = ("b", "c")\n',
    }
    assert linted(GOOD, **others).findings == ()


def test_a_revision_whose_predecessor_is_computed_is_not_judged() -> None:
    found = linted(GOOD.replace('= "a"', "= before()")).findings
    assert {finding.judgement for finding in found} == {Judgement.UNJUDGED}
    assert "revision" in {finding.what for finding in found}


def test_files_of_other_kinds_are_not_taken_for_harmless() -> None:
    for path, text in (("m.py", "print(1)"), ("m.js", "db.drop()"), ("m.py", "def"), ("m.py", "x = '\0'")):
        assert linted(text, path).unjudged, (path, text)
    assert linted("", "app/migrations/__init__.py").findings == ()
    assert linted("'''A package.'''", "app/migrations/__init__.py").findings == ()


def test_sql_in_python_that_is_no_revision_is_read_and_the_rest_is_not_judged() -> None:
    found = linted(
        "def upgrade(cursor):\n    cursor.execute('DROP TABLE users')\n", "app/migrations/second.py"
    )
    assert [str(finding) for finding in found.lost] == [
        "app/migrations/second.py:2: DROP TABLE users: its records are gone"
    ]
    assert [finding.what for finding in found.unjudged] == ["Python code"]


def test_a_file_that_is_removed_changed_or_no_text() -> None:
    def judged(content: bytes | None, *, added: bool) -> list[Judgement]:
        changed = [ChangedFile("m.sql", content, added)]
        return [finding.judgement for finding in lint("f" * 40, ("*.sql",), changed, {}, BEFORE).findings]

    assert judged(None, added=False) == [Judgement.UNJUDGED]
    assert judged(b"SELECT 1", added=False) == [Judgement.NOTED]
    assert judged(b"SELECT 1", added=True) == []
    assert judged(b"\xef\xbb\xbfSELECT 1", added=True) == []
    assert judged(b"\xff\xfe", added=True) == [Judgement.UNJUDGED]


def test_a_migration_of_which_no_file_matches_is_not_judged() -> None:
    nothing = lint("f" * 40, ("*.sql", "x/*"), [], {}, BEFORE)
    (finding,) = nothing.unjudged
    assert finding.what == "no file of the migration matches *.sql, x/*"


USER = """
class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)

    def greet(self):
        return "hello"
"""
DECLARED = {
    "a column more": USER.replace("\n\n    def", "\n    place = Column(String(9))\n\n    def"),
    "a column fewer": USER.replace("    id = Column(Integer, primary_key=True)\n", ""),
    "another type": USER.replace("Integer", "SmallInteger"),
    "another base": USER.replace("(Base)", "(Base, Dated)"),
    "no table": "",
    "one that cannot be read": "x = " + "-" * 100_000 + "1",
}


def models(before: str, after: str, *, named: str = "") -> list[Finding]:
    """Return what is found where a file that declares tables differs, and the migration is `named`."""
    code = [ChangedCode("app/models.py", before.encode(), after.encode())]
    changed = [ChangedFile("m.sql", named.encode(), added=True)]
    return list(lint("f" * 40, ("*.sql",), changed, {}, BEFORE, code).findings)


@pytest.mark.parametrize("after", DECLARED.values(), ids=DECLARED)
def test_a_table_that_is_declared_otherwise_and_no_file_names_is_not_judged(after: str) -> None:
    for before, then in ((USER, after), (after, USER)):
        (finding,) = models(before, then)
        assert (finding.file, finding.judgement) == ("app/models.py", Judgement.UNJUDGED)


@pytest.mark.parametrize(
    "text",
    [
        'users = sa.Table("users", metadata, Column("id", Integer))',
        'class User(SQLModel, table=True):\n    """No name."""\n    id: int\n    users: str',
        "class Users(Base):\n    id: Mapped[int] = mapped_column(primary_key=True)",
    ],
)
def test_every_way_to_declare_a_table_is_seen(text: str) -> None:
    assert [finding.judgement for finding in models("", text)] == [Judgement.UNJUDGED]


def test_a_declared_table_that_the_migration_names_is_the_migration_s() -> None:
    assert models(USER, DECLARED["a column more"], named="ALTER TABLE users ADD place TEXT") == []
    assert models(USER, USER.replace("hello", "good day")) == []
    assert models("import os", "import sys") == []


def test_what_is_noted_is_in_the_summary() -> None:
    text = "; ".join(["DELETE FROM users WHERE id = 1"] * 5)
    summary = linted(text, "m.sql").summary
    assert summary.count("DELETE of users with a condition") == 5
