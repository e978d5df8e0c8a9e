"""The state of reading a migration's files: its new tables and columns so far, and the database in use."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from rollproof.migrations.schema_before import SchemaBefore


@dataclass(frozen=True, slots=True)
class TableName:
    """A table, by its name; `database` is "" for that of the connection."""

    name: str
    database: str = ""

    def __str__(self) -> str:
        """Return it as written in SQL."""
        return f"{self.database}.{self.name}" if self.database else self.name


@dataclass(slots=True)
class Known:
    """Facts known while a file is read: the old tables, the new tables and columns, the database in use.

    A name alone says nothing: ``archive.users`` is not ``users``.
    """

    before: SchemaBefore
    made: set[TableName] = field(default_factory=set)
    added: set[tuple[TableName, str]] = field(default_factory=set)
    database: str = ""

    def begin_file(self) -> None:
        """Forget what only the order of the files would prove: they may run in another one."""
        self.database = ""
        self.made = {table for table in self.made if self.before.lacks(table.name, table.database)}
        self.added = {
            (table, column)
            for table, column in self.added
            if table in self.made or self.before.lacks_column(table.name, column, table.database)
        }

    def named(self, name: str, database: str = "") -> TableName:
        """Return a table by its name, in the database in use without another."""
        return TableName(name, database or self.database)

    def table(self, table: exp.Expr) -> TableName:
        """Return the table of a parsed statement."""
        named = table.this if isinstance(table, exp.Schema) else table
        return self.named(named.name, str(named.args["db"].name) if named.args.get("db") else "")

    def make(self, table: TableName, *, unless_there: bool) -> None:
        """Note a table that is created; `unless_there` by IF NOT EXISTS, so that it may be an old one."""
        new = self.before.lacks(table.name, table.database)
        if new or not (unless_there or self.before.has(table.name, table.database)):
            self.made.add(table)

    def add(self, table: TableName, column: str, *, unless_there: bool) -> None:
        """Note a column that is added; `unless_there` as for a table."""
        new = table in self.made or self.before.lacks_column(table.name, column, table.database)
        if new or not (unless_there or self.before.column(table.name, column, table.database)):
            self.added.add((table, column.lower()))

    def drop(self, table: TableName) -> None:
        """Forget a table that is dropped: another may have its name."""
        self.made.discard(table)
        self.added = {(of, column) for of, column in self.added if of != table}

    def has_added(self, table: TableName, column: str) -> bool:
        """Return whether the migration has added a column of this name."""
        return (table, column.lower()) in self.added
