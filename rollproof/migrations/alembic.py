"""Finds the irreversible operations of an alembic revision: read as text, never imported, never run."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from rollproof.migrations.alembic_types import mysql_type
from rollproof.migrations.finding import Findings
from rollproof.migrations.known import Known, TableName
from rollproof.migrations.python_sql import Names, assigned, lint_executed
from rollproof.migrations.schema_before import Column
from rollproof.migrations.sql_changes import (
    OLD_CODE_READS,
    OLD_CODE_WRITES,
    REFUSED_COMES_IN,
    ColumnAfter,
    judge_column,
    judge_dropped_index,
)

# Packages that a revision may import: none of them reaches a database.
_IMPORTS = frozenset(
    [
        "__future__",
        "alembic",
        "collections",
        "contextlib",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "itertools",
        "json",
        "logging",
        "re",
        "sqlalchemy",
        "textwrap",
        "typing",
        "uuid",
    ]
)
_HARMLESS = frozenset(
    {
        "bulk_insert",
        "f",
        "get_bind",
        "get_context",
        "batch_alter_table",
        "create_table_comment",
        "drop_table_comment",
        "inline_literal",
    }
)
# What SQLAlchemy makes without reaching a database, by its place there.
_SQLALCHEMY = frozenset({"dialects", "exc", "func", "schema", "sql", "types"})
_CONNECTS = frozenset({"create_engine", "create_mock_engine", "engine_from_config", "create_pool_from_url"})
_EXECUTES = frozenset({"execute", "executemany", "exec_driver_sql", "scalar", "scalars"})
_BUILT_IN_NAMES = """
abs all any bool bytes chr dict divmod enumerate filter float format frozenset hash int isinstance
issubclass len list map max min next ord print range repr reversed round set slice sorted str sum
tuple zip
"""
_BUILT_INS = frozenset(_BUILT_IN_NAMES.split()) | {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
# Methods that read, or change nothing but the revision's own values, whatever they are called on.
_READ_NAMES = """
add append as_string autocommit_block begin begin_nested bindparams capitalize casefold close
columns commit copy count date debug decode encode endswith error extend fetchall fetchmany fetchone
first format get get_check_constraints get_columns get_foreign_keys get_indexes get_pk_constraint
get_schema_names get_table_names get_unique_constraints get_view_names has_table hexdigest index
info insert isdigit isoformat items join keys label like lower lstrip mappings now one one_or_none
order_by partition pop replace rollback rpartition rsplit rstrip select select_from setdefault sort
split splitlines startswith strftime strip title today upper utcnow values warning where zfill
"""
_READS = frozenset(_READ_NAMES.split())
_ADDS_CONSTRAINT = frozenset(
    {"create_unique_constraint", "create_primary_key", "create_foreign_key", "create_check_constraint"}
)
_COLUMN_OPERATIONS = frozenset({"add_column", "alter_column", "drop_column"})
_LOSES = {"drop_table": "its records are gone", "rename_table": OLD_CODE_READS}
_ALTER_NAMES = """
table_name column_name nullable comment server_default new_column_name name type_ schema
existing_type existing_server_default existing_nullable existing_comment existing_autoincrement
insert_before insert_after postgresql_using
"""
_ALTERS = frozenset(_ALTER_NAMES.split())
_OPERATIONS = "alembic.op"
_SOME_TABLE = TableName("a table")
_FIRST, _SECOND = 0, 1


def is_revision(module: ast.Module) -> bool:
    """Return whether a module is an alembic revision."""
    return {"revision", "down_revision"} <= set(assigned(module))


def lint_revision(module: ast.Module, findings: Findings, known: Known) -> None:
    """Add the revision's irreversible operations in `upgrade`, and a missing way down."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    up, down = functions.get("upgrade"), functions.get("downgrade")
    if up is None:
        findings.unjudged(1, "revision", "it has no function upgrade")
    elif not _is_empty(up):
        # A revision that only merges two others is empty both ways.
        if down is None:
            findings.lost(1, "revision without downgrade", "there is no way down")
        elif _is_empty(down) or isinstance(down.body[-1], ast.Raise):
            findings.lost(down.lineno, "downgrade that does nothing", "there is no way down")
    for node, package in _imports(module):
        if package not in _IMPORTS:
            findings.unjudged(node.lineno, f"import of {package}", "what its code does is not read")
    _Up(module, findings, known).lint()


def _is_empty(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Return) and (node.value is None or isinstance(node.value, ast.Constant)))
        for node in function.body
    )


def _imports(module: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node, _package(name.name)) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            hidden = node.module == _OPERATIONS or any(name.name == "*" for name in node.names)
            path = f"{'.' * node.level}{node.module or ''}"
            for name in node.names:
                yield node, f"{path} by its parts" if hidden else _package(f"{path}.{name.name}")


def _package(path: str) -> str:
    """Return the package of an import, or its whole path if only some of the package is known here."""
    root, _, rest = path.partition(".")
    if root == "sqlalchemy" and rest and rest.islower() and not _is_inert(path):
        return path
    return root or "."


def _is_inert(path: str) -> bool:
    """Return whether what an import leads to reaches no database."""
    root, *rest = path.split(".")
    if root == "alembic":
        return path == "alembic.context.is_offline_mode"
    if root == "sqlalchemy":
        return bool(rest) and (rest[0] in _SQLALCHEMY or (len(rest) == 1 and rest[0] not in _CONNECTS))
    return root in _IMPORTS


class _Up:
    """The calls of a revision, except those of its downgrade. One that is not known here is not judged."""

    def __init__(self, module: ast.Module, findings: Findings, known: Known) -> None:
        self._findings = findings
        self._known = known
        self._names = Names(module)
        down = [
            node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "downgrade"
        ]
        body = [node for node in module.body if node not in down]
        every = [node for top in body for node in ast.walk(top)]
        if any(isinstance(node, ast.Name) and node.id == "downgrade" for node in every):
            # The way up goes down.
            every += [node for top in down for node in ast.walk(top)]
        self._every = every
        self._functions = {
            node.name for node in every if isinstance(node, ast.FunctionDef | ast.ClassDef)
        } | {"downgrade"}
        # By each use of a batch's name: the batch's table.
        self._batches: dict[int, ast.expr | None] = {}

    def lint(self) -> None:
        for node in self._every:
            if isinstance(node, ast.With):
                self._note_batches(node)
        calls = [node for node in self._every if isinstance(node, ast.Call)]
        used: set[int] = set()
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            used |= {id(node) for node in _chain(call.func)}
            self._judge_call(call)
        for node in self._every:
            if id(node) in used or not isinstance(node, ast.Name | ast.Attribute):
                continue
            path = self._names.path(node) or ""
            operations = path in {"alembic", _OPERATIONS} or path.startswith(f"{_OPERATIONS}.")
            if operations or id(node) in self._batches or getattr(node, "attr", "") in _EXECUTES - {"scalar"}:
                self._findings.unjudged(
                    node.lineno, f"use of {ast.unparse(node)}", "it is handed on, and not read there"
                )

    def _note_batches(self, node: ast.With) -> None:
        """Note the uses of a batch; an inner one of the same name comes later, and counts."""
        for item in node.items:
            call = item.context_expr
            if (
                isinstance(call, ast.Call)
                and self._names.path(call.func) == f"{_OPERATIONS}.batch_alter_table"
                and isinstance(item.optional_vars, ast.Name)
            ):
                table = _argument(call, _FIRST, "table_name")
                for inner in (inner for part in node.body for inner in ast.walk(part)):
                    if isinstance(inner, ast.Name) and inner.id == item.optional_vars.id:
                        self._batches[id(inner)] = table

    def _judge_call(self, call: ast.Call) -> None:
        function = call.func
        path = self._names.path(function)
        if isinstance(function, ast.Attribute) and self._names.path(function.value) == _OPERATIONS:
            self._judge(call, function.attr, _argument(call, _FIRST, "table_name"), 1)
        elif isinstance(function, ast.Attribute) and id(function.value) in self._batches:
            # In a batch the table is named once, so the changed column comes first.
            self._judge(call, function.attr, self._batches[id(function.value)], 0)
        elif isinstance(function, ast.Attribute) and function.attr in _EXECUTES and path is None:
            if call.args or call.keywords or function.attr not in {"scalar", "scalars"}:
                lint_executed(call, self._names, self._findings, self._known)
        elif not (_is_inert(path) if path is not None else self._is_harmless(function)):
            self._findings.unjudged(
                call.lineno, f"call of {_said(function)}", "what it does is not known here"
            )

    def _is_harmless(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Name):
            # Functions of the revision itself are read.
            return function.id in (self._functions if self._names.binds(function.id) else _BUILT_INS)
        return isinstance(function, ast.Attribute) and function.attr in _READS

    def _judge(self, call: ast.Call, method: str, table: ast.expr | None, position: int) -> None:
        """Judge an operation on a table; its column, if it has one, is the argument at `position`."""
        line, findings = call.lineno, self._findings
        name = self._table(table, call)
        what = f"{method} {name}"
        if _unpacks(call):
            findings.unjudged(line, what, "its arguments are not written there")
        elif method == "execute":
            lint_executed(call, self._names, self._findings, self._known)
        elif method in {"create_index", *_ADDS_CONSTRAINT, "drop_constraint", "drop_index"}:
            self._judge_index(call, method, self._table_of_index(call, method) if position else name)
        elif method in _COLUMN_OPERATIONS:
            self._judge_column(call, method, name, position)
        elif method in {"create_table", *_LOSES}:
            self._judge_table(call, method, name)
        elif method not in _HARMLESS:
            findings.unjudged(line, what, "such an operation is not known here")

    def _judge_table(self, call: ast.Call, method: str, table: TableName) -> None:
        if method in _LOSES:
            if table not in self._known.made:
                self._findings.lost(call.lineno, f"{method} {table}", _LOSES[method])
            self._known.drop(table)
        elif table != _SOME_TABLE:
            self._known.make(table, unless_there=_may_be_there(call, "if_not_exists"))

    def _table(self, node: ast.expr | None, call: ast.Call) -> TableName:
        name, schema = self._names.text(node), _keyword(call, "schema")
        database = self._names.text(schema) if schema is not None and not _is(schema, value=None) else ""
        return self._known.named(name, database) if name and database is not None else _SOME_TABLE

    def _judge_column(self, call: ast.Call, method: str, table: TableName, position: int) -> None:
        if table in self._known.made:
            return
        column = self._names.text(_argument(call, position, "column_name"))
        if method == "add_column":
            self._add_column(call, table, _argument(call, position, "column"))
        elif method == "alter_column":
            self._alter_column(call, table, column)
        elif not self._known.has_added(table, column or ""):
            self._findings.lost(
                call.lineno, f"{method} {table}.{column or 'a column'}", "its values are gone"
            )

    def _table_of_index(self, call: ast.Call, method: str) -> TableName:
        keyword = "source_table" if method == "create_foreign_key" else "table_name"
        return self._table(_argument(call, _SECOND, keyword), call)

    def _judge_index(self, call: ast.Call, method: str, table: TableName) -> None:
        line, findings = call.lineno, self._findings
        name = self._names.text(_argument(call, _FIRST, "index_name"))
        if table in self._known.made:
            return
        if method in _ADDS_CONSTRAINT:
            findings.lost(line, f"{method} {table}", OLD_CODE_WRITES)
        elif method == "drop_constraint":
            findings.lost(line, f"{method} {table}", REFUSED_COMES_IN)
        elif method == "drop_index":
            if table == _SOME_TABLE or name is None:
                findings.unjudged(line, method, "which one it is, is not written there")
            else:
                judge_dropped_index(findings, line, table, name, self._known)
        elif (unique := _keyword(call, "unique")) is not None and not _is(unique, value=False):
            findings.lost(line, f"{method} {table}, unique", OLD_CODE_WRITES)

    def _add_column(self, call: ast.Call, table: TableName, column: ast.expr | None) -> None:
        if not isinstance(column, ast.Call) or ast.unparse(column.func).rpartition(".")[2] != "Column":
            self._findings.unjudged(call.lineno, f"add_column {table}", "its column is not written there")
            return
        name = self._names.text(column.args[0] if column.args else _keyword(column, "name"))
        if table != _SOME_TABLE and name:
            self._known.add(table, name, unless_there=_may_be_there(call, "if_not_exists"))
        what = f"add_column {table}.{name or 'a column'}"
        nullable = _keyword(column, "nullable")
        default = _keyword(column, "server_default")
        filled = (default is not None and not _is(default, value=None)) or any(
            isinstance(argument, ast.Call) and ast.unparse(argument.func).endswith(("Computed", "Identity"))
            for argument in column.args
        )
        primary = _is(_keyword(column, "primary_key"), value=True)
        if nullable is not None and not isinstance(nullable, ast.Constant):
            self._findings.unjudged(call.lineno, what, "whether NULL is allowed is not written there")
        elif (primary or _is(nullable, value=False)) and not filled:
            self._findings.lost(call.lineno, f"{what} NOT NULL without a server_default", OLD_CODE_WRITES)
        elif _is(_keyword(column, "unique"), value=True) and filled:
            self._findings.lost(call.lineno, f"{what} unique with a server_default", OLD_CODE_WRITES)

    def _alter_column(self, call: ast.Call, table: TableName, column: str | None) -> None:
        line, findings = call.lineno, self._findings
        what = f"alter_column {table}.{column or 'a column'}"
        if column is not None and self._known.has_added(table, column):
            return
        new_name = _keyword(call, "new_column_name") or _keyword(call, "name")
        if new_name is not None and not _is(new_name, value=None):
            findings.lost(line, f"{what} to another name", OLD_CODE_READS)
        type_, nullable = _keyword(call, "type_"), _keyword(call, "nullable")
        default = _keyword(call, "server_default")
        if _is(default, value=None):
            findings.lost(line, f"{what} without a server_default", OLD_CODE_WRITES)
        elif isinstance(default, ast.Call) and _said(default.func) in {"Computed", "Identity"}:
            findings.lost(line, f"{what} with a {_said(default.func)}", "its values are computed anew")
        if others := sorted({str(keyword.arg) for keyword in call.keywords} - _ALTERS):
            findings.unjudged(line, what, f"what {', '.join(others)} does is not known here")
        after = mysql_type(type_) if type_ is not None else ""
        if after is None or (nullable is not None and not isinstance(nullable, ast.Constant)):
            findings.unjudged(line, what, "what it becomes is not known here")
            return
        if after or nullable is not None:
            allowed = None if nullable is None else _is(nullable, value=True)
            before = self._column_before(call, table, column)
            judge_column(findings, line, what, before, ColumnAfter(after, allowed))

    def _column_before(self, call: ast.Call, table: TableName, column: str | None) -> Column | None:
        """Return the column from the baseline, else from the revision's own description of its old state."""
        known = self._known.before.column(table.name, column or "", table.database)
        existing, nullable = _keyword(call, "existing_type"), _keyword(call, "existing_nullable")
        type_ = mysql_type(existing) if existing is not None else None
        if known is not None or type_ is None:
            return known
        allowed = nullable.value if isinstance(nullable, ast.Constant) else None
        return Column(type_, allowed if isinstance(allowed, bool) else None)


def _chain(function: ast.expr) -> Iterator[ast.expr]:
    """Yield ``a.b.c``, ``a.b`` and ``a``."""
    yield function
    while isinstance(function, ast.Attribute):
        function = function.value
        yield function


def _said(function: ast.expr) -> str:
    """Return the last name of what is called."""
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return "a value"


def _may_be_there(call: ast.Call, keyword: str) -> bool:
    value = _keyword(call, keyword)
    return value is not None and not _is(value, value=False)


def _unpacks(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords) or any(
        isinstance(argument, ast.Starred) for argument in call.args
    )


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    return call.args[position] if len(call.args) > position else _keyword(call, name)


def _is(node: ast.expr | None, *, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
