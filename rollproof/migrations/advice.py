"""Advice on a migration before it runs: what sqlglot's tree and the names of alembic's operations say.

It is a note of a rehearsal, and decides nothing. What the migration did is compared later: see `effects`.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator

import sqlglot
from sqlglot import exp

from rollproof.errors import shortened
from rollproof.git.migration_files import changed_names, content_at
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target

NOT_JUDGED = "not judged"
_LOST = "what it holds is lost"
_OLD_NAME = "the old code asks for the old name"
_TYPE = "values that do not fit are cut or refused"
_OLD_CODE_WRITES = "what the old code writes may be refused"
_LONGEST = 80

_OPERATIONS = {
    "drop_table": _LOST,
    "drop_column": _LOST,
    "rename_table": _OLD_NAME,
    "alter_column": "another type, name or default: the old code may not fit it, nor every value",
    "drop_constraint": "records that it would refuse may come in",
    "create_unique_constraint": _OLD_CODE_WRITES,
    "create_check_constraint": _OLD_CODE_WRITES,
    "create_foreign_key": _OLD_CODE_WRITES,
    "create_primary_key": _OLD_CODE_WRITES,
}
_UNREMARKED = frozenset(
    {
        "add_column",
        "batch_alter_table",
        "bulk_insert",
        "create_index",
        "create_table",
        "create_table_comment",
        "drop_index",
        "f",
        "get_bind",
        "get_context",
    }
)
_HARMLESS = (exp.Create, exp.Insert, exp.Select, exp.Set, exp.Use, exp.Transaction, exp.Commit, exp.Rollback)
# sqlglot warns of each statement that it keeps as text: such a statement is not judged.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def advice_on(target: Target, migration: str) -> list[str]:
    """Return what the text of `migration` says that it loses, and what of it was not judged.

    One line each, ``db/2.sql:3: DROP TABLE users: what it holds is lost``. No line is no sign that nothing is
    lost.
    """
    repository, patterns = target.application.repository, target.premigration.state.migrations
    dialects = {dialect for store in target.stores.values() if (dialect := descriptor_of(store).dialect)}
    dialect = dialects.pop() if len(dialects) == 1 else ""
    found = []
    for status, name in changed_names(repository, migration, patterns):
        content = None if status == "D" else content_at(repository, migration, name)
        found += [f"{name}:{line}: {text}" for line, text in _of_file(name, content, dialect)]
    return found


def _of_file(name: str, content: bytes | None, dialect: str) -> Iterator[tuple[int, str]]:
    text = None if content is None else content.decode("utf-8-sig", "replace")
    if text is not None and name.endswith(".sql"):
        yield from of_sql(text, dialect)
    elif text is not None and name.endswith(".py"):
        yield from of_revision(text, dialect)
    else:
        yield 1, f"{NOT_JUDGED}: a file that is removed, or of another kind"


def of_sql(text: str, dialect: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Yield line and advice of each statement in `text`, whose first line has the number `first`."""
    if not dialect:
        yield first, f"{NOT_JUDGED}: of no store, or of several, the SQL is known"
        return
    try:
        yield from [*_of_statements(text, dialect, first)]
    except Exception as error:  # noqa: BLE001 - the parser's tree may lack any part; advice stops no rehearsal
        yield first, f"{NOT_JUDGED}: it cannot be read, {type(error).__name__}"


def _of_statements(text: str, dialect: str, first: int) -> Iterator[tuple[int, str]]:
    for statement in filter(None, sqlglot.parse(text, dialect=dialect)):
        lines = (node.meta["line"] for node in statement.walk() if "line" in node.meta)
        line = first - 1 + int(next(lines, 1))
        for part, why in _of_statement(statement):
            yield line, f"{shortened(part.sql(dialect=dialect), _LONGEST)}: {why}"


def _of_statement(statement: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    match statement:
        case exp.Drop() | exp.TruncateTable():
            yield statement, _LOST
        case exp.Delete() | exp.Update():
            if statement.args.get("where") is None:
                yield statement, "it changes every record"
        case exp.Alter():
            for action in statement.args.get("actions") or (statement,):
                if why := _of_action(action):
                    yield action, why
        case _ if not isinstance(statement, _HARMLESS):
            yield statement, NOT_JUDGED


def _of_action(action: exp.Expr) -> str:
    match action:
        case exp.Drop():
            return _LOST
        case exp.RenameColumn() | exp.AlterRename():
            return _OLD_NAME
        case exp.ModifyColumn() | exp.AlterColumn():
            return _TYPE
        case exp.AddConstraint():
            return _OLD_CODE_WRITES
        case exp.ColumnDef():
            return ""
    return NOT_JUDGED


def of_revision(text: str, dialect: str) -> Iterator[tuple[int, str]]:
    """Yield line and advice of each operation in an alembic revision, but for those of its downgrade."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield 1, f"{NOT_JUDGED}: no Python that can be read, {type(error).__name__}"
        return
    upgrade = next((one for one in module.body if _is_upgrade(one)), None)
    if upgrade is None:
        yield 1, f"{NOT_JUDGED}: no alembic revision, it has no function upgrade"
        return
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _of_call(node, node.func, dialect)


def _is_upgrade(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "upgrade"


def _of_call(call: ast.Call, function: ast.Attribute, dialect: str) -> Iterator[tuple[int, str]]:
    text = call.args[0] if call.args else None
    if isinstance(text, ast.Call) and text.args:  # text("…") of SQLAlchemy
        text = text.args[0]
    said = shortened(ast.unparse(call), _LONGEST)
    if function.attr in _OPERATIONS:
        yield call.lineno, f"{said}: {_OPERATIONS[function.attr]}"
    elif function.attr == "execute" and isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield from of_sql(text.value, dialect, call.lineno)
    elif function.attr == "execute" or (
        ast.unparse(function.value) == "op" and function.attr not in _UNREMARKED
    ):
        yield call.lineno, f"{said}: {NOT_JUDGED}"
