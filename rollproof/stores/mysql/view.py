"""MySQL and MariaDB, read side: every table of the profile's databases, counted row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from pymysql.connections import Connection
from pymysql.cursors import Cursor, SSCursor

from rollproof.stores.contract import Answer
from rollproof.stores.mysql.connection import (
    connect,
    count_rows,
    escaped_percents,
    limit_queries,
    quoted,
    quoted_table,
    require_source,
    rows,
    server,
    tables,
    translated,
)
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.names import Name
from rollproof.stores.reach import Readable, StoreReader

# Rows that `ask` reads at most: enough to touch real data, few enough for a large table.
ASKED_ROWS = 1000
# Names read at a time when references are followed.
NAMES = 1000


def _columns(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


class View(StoreReader[MysqlProfile]):
    """The read side of a MySQL or MariaDB server. See `StoreView`."""

    kind = "mysql"

    def __init__(self, readable: Readable[MysqlProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._connection: Connection[Cursor] | None = None

    def ask(self) -> Answer:
        """Count up to `ASKED_ROWS` rows of the first table that holds any."""
        countdown = self._reach.start()
        with translated(self._reach):
            connection = self._open()
            names = tables(connection, self._profile.databases, self._reach)
            if not names:
                raise self._reach.failed(
                    "no table",
                    expected=f"a table in {', '.join(self._profile.databases)}",
                    hint="the tables were dropped, or the account has no privilege on them",
                )
            name, records = ".".join(names[0]), 0
            for database, table in names:
                countdown.left()
                source = f"(SELECT 1 FROM {quoted(database)}.{quoted(table)} LIMIT {ASKED_ROWS}) AS seen"  # noqa: S608 - quoted
                ((records,),) = rows(connection, f"SELECT COUNT(*) FROM {source}")  # noqa: S608
                if records:
                    name = f"{database}.{table}"
                    break
            flavour, version = server(connection)
        return Answer(
            query=f"SELECT COUNT(*) of up to {ASKED_ROWS} rows",
            collection=name,
            records=int(records),
            server=version if flavour == "mariadb" else f"MySQL {version}",
        )

    def counts(self) -> Mapping[str, int]:
        """Return `SELECT COUNT(*)` of every table by ``database.table``, in one snapshot."""
        countdown = self._reach.start()
        with translated(self._reach):
            connection = self._open()
            return count_rows(connection, tables(connection, self._profile.databases, self._reach), countdown)

    def collections(self) -> Sequence[str]:
        """Return the tables as ``database.table``. See `CollectionsView`."""
        with translated(self._reach):
            found = tables(self._open(), self._profile.databases, self._reach)
        return [f"{database}.{table}" for database, table in found]

    def count(self, collection: str) -> int:
        """Return `SELECT COUNT(*)` of one table. See `CollectionsView`."""
        with translated(self._reach):
            ((count,),) = rows(self._open(), f"SELECT COUNT(*) FROM {quoted_table(collection)}")  # noqa: S608 - quoted
        return int(count)

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients. See `ConnectionsView`."""
        with translated(self._reach):
            connection = self._open()
            ((_, used),) = rows(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            ((allowed,),) = rows(connection, "SELECT @@GLOBAL.max_connections")
        return int(used), int(allowed)

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield names from the table ``database.table``, read in blocks of `NAMES`. See `ReferenceView`."""
        # A separate connection: until its rows are read, it accepts no other query.
        connection = connect(self._reach)
        chosen = " AND ".join(f"{escaped_percents(quoted(name))} = %s" for name in where)
        read = escaped_percents(f"SELECT {_columns(fields)} FROM {quoted_table(collection)}")  # noqa: S608 - quoted
        with translated(self._reach), closing(connection), closing(connection.cursor(SSCursor)) as cursor:
            cursor.execute(f"{read} WHERE {chosen or 'TRUE'}", tuple(where.values()))
            while block := cursor.fetchmany(NAMES):
                for row in block:
                    yield None if None in row else tuple(str(value) for value in row)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` found in rows, compared here, as a collation may equate different texts."""
        first = escaped_percents(quoted(fields[0]))
        # By their bytes too: else DISTINCT gives one of the texts that the collation equates, any.
        each = ", ".join([_columns(fields), *(f"CAST({quoted(name)} AS BINARY)" for name in fields)])
        read = escaped_percents(f"SELECT DISTINCT {each} FROM {quoted_table(collection)}")  # noqa: S608 - quoted
        with translated(self._reach):
            found = rows(self._open(), f"{read} WHERE {first} IN %s", [tuple({name[0] for name in names})])
        return {tuple(str(value) for value in row[: len(fields)]) for row in found} & set(names)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None and self._connection.open:
            with translated(self._reach):
                self._connection.close()
        self._connection = None

    def _open(self) -> Connection[Cursor]:
        # A connection closed after a failure is replaced: its state is unknown.
        if self._connection is None or not self._connection.open:
            self._connection = connect(self._reach)
            flavour, _ = server(self._connection)
            limit_queries(self._connection, flavour, self._reach.deadline)
            require_source(self._connection, flavour, self._reach)
        return self._connection
