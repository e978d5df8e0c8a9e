"""MySQL's connections: opening one, its errors in words, and the questions that every module asks."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.stores.client import Client
from rollproof.stores.client_name import NAME
from rollproof.stores.reach import Countdown, Reach

Flavour = Literal["mysql", "mariadb"]
# Only the driver's annotations are generic.
if TYPE_CHECKING:
    _Connection = Connection[Cursor]
else:
    _Connection = Connection
NO_TABLE = 1146
OF_THE_SERVER = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
# Codes 2000 to 2999 are errors of the client library: code // 1000 is 2.
_OF_CLIENT = 2


class MysqlSession(_Connection):
    """A connection that knows its server. No statement begins after the end of its `countdown`, if any."""

    countdown: Countdown | None = None

    def query(self, sql: Any, unbuffered: bool = False) -> int:  # noqa: ANN401, FBT001, FBT002 - as the driver calls it
        """Run one statement; every cursor's statement comes through here."""
        if self.countdown is not None:
            self.countdown.left()
        return super().query(sql, unbuffered)

    @cached_property
    def version(self) -> str:
        """The server's version in its own words."""
        ((version,),) = rows(self, "SELECT VERSION()")
        return str(version)

    @property
    def flavour(self) -> Flavour:
        """Which of the two servers it is."""
        return "mariadb" if "mariadb" in self.version.lower() else "mysql"


class Mysql(Client[MysqlSession]):
    """One account's connection, in autocommit mode; a `countdown` is the deadline of all its requests."""

    # RuntimeError: an authentication plugin is missing.
    errors: ClassVar = (pymysql.err.MySQLError, RuntimeError)

    def __init__(self, reach: Reach, countdown: Countdown | None = None) -> None:
        """Keep the access data."""
        super().__init__(reach)
        self._countdown = countdown

    def connect(self) -> MysqlSession:
        """Connect and log in."""
        reach = self.reach
        seconds = self._countdown.left() if self._countdown else reach.deadline
        session = MysqlSession(
            host=reach.endpoint.host,
            port=reach.endpoint.port,
            user=reach.account.user,
            password=reach.account.password.get_secret_value(),
            ssl=ssl.create_default_context(cafile=reach.endpoint.ca) if reach.endpoint.tls else None,
            charset="utf8mb4",
            autocommit=True,
            # Any other level has no snapshot for a whole transaction.
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            program_name=NAME,
            connect_timeout=max(1, round(seconds)),
            read_timeout=seconds,
            write_timeout=seconds,
        )
        session.countdown = self._countdown
        return session

    def words(self, error: Exception) -> str:
        """Return the server's code and words."""
        return f"({error.args[0]}) {error.args[1]}" if len(error.args) > 1 else super().words(error)

    def refused(self, error: Exception) -> bool:
        """Return whether the code is one of the server's."""
        code = error.args[0] if error.args else None
        return isinstance(code, int) and code > 0 and code // 1000 != _OF_CLIENT


def rows(connection: Connection[Cursor], query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return all rows of `query`; placeholders are ``%s``."""
    with closing(connection.cursor()) as cursor:
        # Without values the driver leaves every % unchanged, so that names may hold one.
        cursor.execute(query, values or None)
        return list(cursor.fetchall())


def quoted(name: str) -> str:
    """Return `name` as an identifier."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(collection: str) -> str:
    """Return ``database.table`` as an identifier; a database's name holds no dot."""
    database, _, table = collection.partition(".")
    return f"{quoted(database)}.{quoted(table)}"


def escaped_percents(text: str) -> str:
    """Return `text` with every % doubled, for a query with values: the driver takes a single % for one."""
    return text.replace("%", "%%")


def databases_seen(connection: MysqlSession) -> set[str]:
    """Return the databases that the account sees."""
    query = "SELECT schema_name FROM information_schema.schemata"
    return {str(name) for (name,) in rows(connection, query)}


def tables(connection: MysqlSession, databases: Sequence[str], reach: Reach) -> list[str]:
    """Return the base tables of `databases` as ``database.table``, sorted, without views.

    Raises:
        Unverifiable: a database is missing, or hidden from the account.
    """
    seen = databases_seen(connection)
    for database in databases:
        if database not in seen:
            raise reach.failed(
                "no database of that name",
                expected=f"database {database}",
                hint=f"it was dropped, or {reach.account.user} has no privilege on it: SHOW GRANTS",
            )
    found = rows(
        connection,
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema IN %s",
        [tuple(databases)],
    )
    return sorted(f"{database}.{table}" for database, table in found)


def count_rows(connection: MysqlSession, names: Sequence[str]) -> dict[str, int]:
    """Return the exact number of rows of tables by ``database.table``, all in one snapshot."""
    counts = {}
    rows(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    for name in names:
        ((count,),) = rows(connection, f"SELECT COUNT(*) FROM {quoted_table(name)}")  # noqa: S608 - quoted
        counts[name] = int(count)
    rows(connection, "ROLLBACK")
    return counts


def require_source(connection: MysqlSession, reach: Reach) -> None:
    """Refuse a server that is read-only, as replicas are: their rows may be those of a moment ago.

    Raises:
        Unverifiable: it is one.
    """
    ((read_only,),) = rows(connection, "SELECT @@GLOBAL.read_only")
    if read_only:
        raise reach.failed(
            "a read-only one, such as a replica",
            expected="a server that takes writes",
            hint="name the source in the profile",
        )
