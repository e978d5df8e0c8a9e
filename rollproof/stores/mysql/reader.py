"""MySQL and MariaDB, read side: every table of the profile's databases, hashed in the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from rollproof.collection import Json
from rollproof.profile.data_formats import Marks
from rollproof.stores.client import Idle
from rollproof.stores.contract import Digest, Pace, Rights, Unlisted
from rollproof.stores.mysql.connection import (
    NO_TABLE,
    OF_THE_SERVER,
    Mysql,
    MysqlSession,
    count_rows,
    databases_seen,
    escaped_percents,
    quoted,
    quoted_table,
    require_source,
    rows,
    tables,
)
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.privileges import privileges_of, read_unlisted, rights, shows, sight
from rollproof.stores.mysql.rows import RowReader
from rollproof.stores.mysql.schema import read_schemas
from rollproof.stores.mysql.table import (
    LONGEST_TOGETHER,
    Column,
    Key,
    between,
    hashed,
    read_columns,
    read_key,
    row_hash,
)
from rollproof.stores.names import Name, key_text
from rollproof.stores.policy import excluded_of, policy_of
from rollproof.stores.reach import Readable
from rollproof.stores.tables import ASKED_ROWS, BLOCK, Rows, TableReader, revision_columns
from rollproof.system.side_by_side import Workers

# Names read at a time when references are followed.
NAMES = 1000
# Limits of a first request, before its speed is known: rows, and bytes of rows.
FIRST_ROWS = 20_000
FIRST_BYTES = 16 << 20
# Hexadecimal digits of the first column that represent the key in a keyless table.
SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Table:
    """A table prepared for reading: its row key, and the expressions of the hashes. See `Table`."""

    name: str
    columns: Mapping[str, Column]
    key: Key
    hash: str
    hashed: tuple[str, ...]
    field_hashes: tuple[str, ...]
    first_rows: int

    @property
    def rows(self) -> str:
        """Return the FROM clause for its rows, in the order of its key."""
        return f"FROM {quoted_table(self.name)}{self.key.forced}"


class _CollectionRead(Mysql):
    """A connection of a reader: in one form of values, and to no replica."""

    def connect(self) -> MysqlSession:
        """Connect, and prepare the session."""
        session = super().connect()
        try:
            require_source(session, self.reach)
            # The form of values depends on the first two; the timeout keeps slow readers from being cut off.
            rows(session, "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 600")
            # The server itself ends a query whose client has given up.
            if session.flavour == "mariadb":
                rows(session, f"SET SESSION max_statement_time = {self.reach.deadline:.3f}")
            else:
                milliseconds = max(1, int(self.reach.deadline * 1000))
                # Otherwise AUTO_INCREMENT counters are up to a day old.
                expiry = "information_schema_stats_expiry = 0"
                rows(session, f"SET SESSION max_execution_time = {milliseconds}, {expiry}")
        except BaseException:
            session.close()
            raise
        return session


class MysqlReader(TableReader):
    """Reads one MySQL or MariaDB server."""

    _profile: MysqlProfile

    blind_spots: tuple[str, ...] = (
        "VIRTUAL columns, computed when they are read: their expression is compared, not their values",
        "the sign of a zero in FLOAT and DOUBLE columns, which no dump holds",
        "in JSON, a DECIMAL, date or time that a function put there, and a number or text that reads so",
        "the history of system-versioned tables; of a SEQUENCE its bounds and steps, and where it is",
        "the ALGORITHM of views: the server tells it in a statement alone",
        "passwords, limits and rules of log-in of accounts; what an application sets in its session",
        "tables without transactions (MyISAM, Aria) are read while others may write to them",
        "whether a writable server is a replica that lags",
    )

    def __init__(self, readable: Readable[MysqlProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._idle = Idle(lambda: _CollectionRead(self._reach))

    def _tables(self, session: MysqlSession) -> list[str]:
        return tables(session, self._profile.databases, self._reach)

    def _count(self, session: MysqlSession, names: Sequence[str]) -> dict[str, int]:
        return count_rows(session, names)

    def _few(self, session: MysqlSession, name: str) -> int:
        source = f"(SELECT 1 FROM {quoted_table(name)} LIMIT {ASKED_ROWS}) AS seen"  # noqa: S608 - quoted
        ((number,),) = rows(session, f"SELECT COUNT(*) FROM {source}")  # noqa: S608
        return int(number)

    def _server(self, session: MysqlSession) -> str:
        return session.version if session.flavour == "mariadb" else f"MySQL {session.version}"

    def holdings(self) -> Mapping[str, Any]:
        """Return the databases that the account sees, the server's own apart."""
        with Mysql(self._reach) as client, client.asked() as connection:
            return {"databases": sorted(databases_seen(connection) - OF_THE_SERVER)}

    def marks(self) -> Marks:
        """Return the server's product and version."""
        with Mysql(self._reach) as client, client.asked() as connection:
            return {"product": connection.flavour, "server": connection.version}

    def revisions(self, table: str) -> tuple[str, ...]:
        """Return the revisions in ``database.table``."""
        with Mysql(self._reach) as client, client.asked() as connection:
            try:
                columns = ", ".join(revision_columns(table))
                found = rows(connection, f"SELECT {columns} FROM {quoted_table(table)}")  # noqa: S608 - quoted
            except pymysql.err.ProgrammingError as error:
                if error.args[0] != NO_TABLE:
                    raise
                return ()
        return tuple(sorted(".".join(map(str, revision)) for revision in found))

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients."""
        with self._connected() as connection:
            ((_, used),) = rows(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            ((allowed,),) = rows(connection, "SELECT @@GLOBAL.max_connections")
        return int(used), int(allowed)

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield names from the table ``database.table``, read in blocks of `NAMES`."""
        chosen = " AND ".join(f"{escaped_percents(quoted(name))} = %s" for name in where)
        read = escaped_percents(f"SELECT {_columns(fields)} FROM {quoted_table(collection)}")  # noqa: S608 - quoted
        query = f"{read} WHERE {chosen or 'TRUE'}"
        # A separate connection: until its rows are read, it accepts no other query.
        with Mysql(self._reach) as client, client.asked() as connection:
            for row in _stream(connection, query, NAMES, tuple(where.values())):
                yield None if None in row else tuple(str(value) for value in row)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` found in rows, compared here, as a collation may equate different texts."""
        first = escaped_percents(quoted(fields[0]))
        # By their bytes too: else DISTINCT gives one of the texts that the collation equates, any.
        each = ", ".join([_columns(fields), *(f"CAST({quoted(name)} AS BINARY)" for name in fields)])
        read = escaped_percents(f"SELECT DISTINCT {each} FROM {quoted_table(collection)}")  # noqa: S608 - quoted
        with self._connected() as connection:
            found = rows(connection, f"{read} WHERE {first} IN %s", [tuple({name[0] for name in names})])
        return {tuple(str(value) for value in row[: len(fields)]) for row in found} & set(names)

    def schemas(self) -> Mapping[str, Json]:
        """Return the databases, tables, views, triggers, routines and events. See `read_schemas`."""
        with self._connected() as connection:
            found = read_schemas(connection, self._profile.databases, self._reach)
        for name, schema in found.items():
            # It moves with every insert, so it is compared only if inserts are not allowed.
            if policy_of(self._profile, name).allows_added:
                schema.pop("auto_increment", None)
        return {**found}

    def sight(self, schemas: Mapping[str, Json]) -> Mapping[str, str]:
        """Return each database's kinds of objects, and the hidden bodies."""
        with self._connected() as connection:
            return sight(privileges_of(connection), connection.flavour, self._profile.databases, schemas)

    def unlisted(self) -> Unlisted:
        """Return accounts, grants, global variables, and the databases of others."""
        with self._connected() as connection:
            return read_unlisted(connection, self._profile.databases)

    def rights(self) -> Rights:
        """Return what the account may do, by the server's own list of grants."""
        with self._connected() as connection:
            return rights(privileges_of(connection), self._profile.databases)

    def existing_collections(self) -> Sequence[str]:
        """Return the tables without those of dropped databases; a hidden database is an error."""
        with self._connected() as connection:
            there, held = databases_seen(connection), privileges_of(connection)
            # A grant outlives its database: whoever has one sees the database, unless it was dropped.
            left = [name for name in self._profile.databases if name in there or not shows(held, name)]
            return tables(connection, left, self._reach) if left else ()

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield each part's count and sum of row hashes, computed in the server, parts side by side."""
        with self._connected() as connection:
            table = self._table(connection, collection)
        with Workers(min(pace.connections, len(parts)), "mysql") as workers:

            def digested(part: int) -> Iterator[tuple[int, Digest]]:
                digest = Digest(0, 0)
                with self._connected() as connection:
                    for condition in self._requests(connection, table, division, part, pace):
                        if workers.stopped.is_set():
                            rows(connection, "ROLLBACK")
                            return
                        query = f"SELECT COUNT(*), SUM({table.hash}) {table.rows} WHERE {condition}"
                        ((count, total),) = rows(connection, query)
                        digest += Digest(int(count), int(total or 0))
                yield part, digest

            yield from workers.merged(digested, parts)

    def _whole(self, table: _Table) -> tuple[Sequence[str], Callable[[Sequence[Any]], Json]]:
        reader = RowReader([*table.columns.values()])
        return reader.selected, reader.read

    def _rows(
        self,
        connection: MysqlSession,
        table: _Table,
        division: Sequence[str],
        part: int,
        pace: Pace,
        selected: Sequence[str],
        *,
        where: str = "TRUE",
        block: int = BLOCK,
    ) -> Rows:
        keys = len(table.key.columns) or 1
        shown = table.key.shown or f"LEFT(HEX({next(iter(table.columns.values())).sql}), {SHOWN})"
        query = f"SELECT {', '.join([shown, table.hash, *selected])} {table.rows} WHERE {where}"
        for condition in self._requests(connection, table, division, part, pace, most=BLOCK):
            with closing(_stream(connection, f"{query} AND {condition}", block)) as found:
                for row in found:
                    key = key_text(row[:keys])
                    if not table.key.columns:
                        key = f"row without a key, hash {row[keys]}, first column 0x{key}"
                    yield key, int(row[keys]), row[keys + 1 :]

    def _requests(
        self,
        connection: MysqlSession,
        table: _Table,
        division: Sequence[str],
        part: int,
        pace: Pace,
        most: int = Pace.LARGEST,
    ) -> Iterator[str]:
        """Yield the condition for each request of a part, at the pace; one snapshot serves all."""
        first = division[part]
        end = division[part + 1] if part + 1 < len(division) else ""
        size = min(table.first_rows, most)
        try:
            between(table.columns, first, end)
        except ValueError as error:
            raise self._reach.failed(
                error,
                expected=f"the key columns of {table.name} that its division names",
                hint="the table's key was altered since; compare its schema first",
            ) from None
        rows(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        while True:
            width = table.key.width(first, end)
            # A table without a usable key is read by one request, as is a range that is certainly small.
            if width is not None and width <= size:
                step = ""
            else:
                step = self._step(connection, table, first, size, end)
            started = time.monotonic()
            yield between(table.columns, first, step or end)
            size = min(pace.next_size(size, time.monotonic() - started), most)
            if not step:
                break
            first = step
        rows(connection, "COMMIT")

    def _step(self, connection: MysqlSession, table: _Table, first: str, size: int, end: str = "") -> str:
        """Return the bound `size` rows after `first`, or "" if fewer rows follow before `end`.

        It is always beyond `first`, even if many rows share the values of a bound.
        """
        if not table.key.bounds:
            return ""
        condition = between(table.columns, first, end, after=True)
        query = (
            f"SELECT {table.key.selected} {table.rows} WHERE {condition}"
            f" ORDER BY {table.key.order} LIMIT {size - 1 if first else size}, 1"
        )
        found = rows(connection, query)
        return table.key.bound(found[0]) if found else ""

    def _table(self, connection: MysqlSession, collection: str) -> _Table:
        database, _, name = collection.partition(".")
        found = rows(
            connection,
            "SELECT COALESCE(avg_row_length, 0), @@max_allowed_packet FROM information_schema.tables"
            " WHERE table_schema = %s AND table_name = %s",
            [database, name],
        )
        if not found:
            raise self._no_table(collection)
        ((length, packet),) = found
        if packet < 2 * LONGEST_TOGETHER:
            raise self._reach.failed(
                f"max_allowed_packet = {packet}",
                expected=f"room for a row: max_allowed_packet = {2 * LONGEST_TOGETHER} at least",
                hint="raise max_allowed_packet of the server: what is longer, the server takes for NULL",
            )
        columns = read_columns(connection, database, name)
        fields = hashed(columns, excluded_of(self._profile, collection))
        return _Table(
            name=collection,
            columns={column.name: column for column in columns},
            key=read_key(connection, database, name, columns),
            hash=row_hash(fields),
            hashed=tuple(column.name for column in fields),
            field_hashes=tuple(column.field_hash for column in fields),
            first_rows=max(Pace.SMALLEST, min(FIRST_ROWS, FIRST_BYTES // max(1, int(length)))),
        )


def _columns(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _stream(
    connection: MysqlSession, query: str, block: int, values: Sequence[object] | None = None
) -> Generator[tuple[Any, ...]]:
    """Yield the rows of `query` as they arrive: a table without a key may be of any size."""
    # Closing the cursor reads the remaining rows, at most until the server's limit for a query.
    with closing(connection.cursor(SSCursor)) as cursor:
        cursor.execute(query, values)
        while found := cursor.fetchmany(block):
            yield from found
