"""PostgreSQL's connections: opening one, its errors in words, and the questions that every module asks."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.abc import PQGen

from rollproof.errors import Unverifiable
from rollproof.stores.client import Client
from rollproof.stores.client_name import NAME
from rollproof.stores.reach import Countdown, Reach

MAINTENANCE = "postgres"
"""The database that every server has."""
OLDEST = 15
"""The oldest major version that is read."""
# The text of a value depends on these, and so do hashes. Without row security, a table that has it is read
# whole or not at all. A snapshot stays while other connections read by it.
_SETTINGS = {
    "search_path": "", "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres",
    "extra_float_digits": "1", "bytea_output": "hex", "xmloption": "content", "lc_monetary": "C",
    "quote_all_identifiers": "off", "standard_conforming_strings": "on", "client_encoding": "UTF8",
    "row_security": "off", "idle_in_transaction_session_timeout": "0", "lock_timeout": "0", "jit": "off",
}  # fmt: skip
_SET = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS one(name, value)"
# What libpq takes from the environment where a connection does not give it, such as another address of the
# host. What each connection gives stays: a profile may name it as a secret.
_VARIABLES = {one.envvar.decode() for one in psycopg.pq.Conninfo.get_defaults() if one.envvar} - {
    f"PG{name}" for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")
}
# Codes of connections that ended: exceptions of the connection, and what a shutdown says.
_ENDED = ("08", "57P")
_Found = TypeVar("_Found")


class PostgresqlSession(psycopg.Connection[tuple[Any, ...]]):
    """A connection of which each request ends by the end of `countdown`."""

    countdown: Countdown | None = None
    seconds: float = 10.0

    def wait(self, gen: PQGen[_Found], *arguments: Any, **named: Any) -> _Found:  # noqa: ANN401 - the driver's
        """Run one request; every cursor's and transaction's request comes through here."""
        named["timeout"] = self.countdown.left() if self.countdown else self.seconds
        end = time.monotonic() + named["timeout"]
        try:
            return super().wait(gen, *arguments, **named)
        except psycopg.Error:
            if time.monotonic() < end:
                raise
            self.close()
            raise TimeoutError("no answer") from None


class Postgresql(Client[PostgresqlSession]):
    """One account's connection to a `database`, in autocommit mode."""

    # The second one: texts that are not UTF-8, and bounds that are none.
    errors: ClassVar = (psycopg.Error, ValueError)

    def __init__(
        self, reach: Reach, database: str, countdown: Countdown | None = None, *, read_only: bool = False
    ) -> None:
        """Keep the access data; a `countdown` is the deadline of all requests together."""
        super().__init__(reach)
        self._read_only = read_only
        self._database = database
        self._countdown = countdown

    def connect(self) -> PostgresqlSession:
        """Connect and log in; each of the session's transactions is of one moment."""
        endpoint, account = self.reach.endpoint, self.reach.account
        seconds = self._countdown.left() if self._countdown else self.reach.deadline
        for variable in _VARIABLES:
            os.environ.pop(variable, None)
        tls: dict[str, Any] = {}
        if endpoint.tls:
            tls = {"sslmode": "verify-full", "sslrootcert": endpoint.ca or "system"}
        try:
            session = PostgresqlSession.connect(
                host=endpoint.host,
                port=endpoint.port,
                user=account.user,
                password=account.password.get_secret_value(),
                dbname=self._database,
                application_name=NAME,
                connect_timeout=math.ceil(seconds),
                autocommit=True,
                prepare_threshold=None,
                **tls,
            )
        except psycopg.errors.ConnectionTimeout:
            raise TimeoutError("no answer") from None
        try:
            session.seconds, session.countdown = seconds, self._countdown
            session.isolation_level, session.read_only = IsolationLevel.REPEATABLE_READ, self._read_only
            # The server ends a question a second after its caller has given up.
            settings = {**_SETTINGS, "statement_timeout": f"{int(seconds + 1)}s"}
            rows(session, _SET, [[*settings], [*settings.values()]])
            if session.info.server_version < OLDEST * 10_000:
                raise self.reach.failed(  # noqa: TRY301 - the session is closed
                    f"PostgreSQL {session.info.parameter_status('server_version')}",
                    expected=f"PostgreSQL {OLDEST} or newer, whose catalogue says what is compared",
                    hint="upgrade the server, or leave the store out of the profile",
                )
            if rows(session, "SELECT pg_is_in_recovery()") != [(False,)]:
                raise self.reach.failed(  # noqa: TRY301 - the session is closed
                    "a server in recovery, such as a replica",
                    expected="the server that takes writes: others may lag",
                    hint="name the primary in the profile",
                )
        except BaseException:
            session.close()
            raise
        return session

    def wake(self) -> None:
        """Connect again where a restore of the database has ended all connections to it."""
        with suppress(Unverifiable), self.asked() as session:
            run(session, "SELECT 1")

    def words(self, error: Exception) -> str:
        """Return the server's own words, or those of the library, which may be several lines."""
        said = isinstance(error, psycopg.Error) and error.diag.message_primary
        return said or super().words(error)

    def refused(self, error: Exception) -> bool:
        """Return whether the server answered: to a log-in, libpq has its words behind ``FATAL:  ``."""
        code = getattr(error, "sqlstate", None)
        return ":  " in str(error) if code is None else not code.startswith(_ENDED)


def rows(
    session: PostgresqlSession, query: str, values: Sequence[object] | Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Return all rows of `query`; placeholders are ``%s``, or ``%(name)s``. Without values, % is itself."""
    return session.execute(query.encode(), values).fetchall()


def run(session: PostgresqlSession, statement: str) -> None:
    """Run a statement without an answer."""
    session.execute(statement.encode())


def maintenance_of(database: str) -> str:
    """Return another database, which every server has: what is asked there outlives `database`."""
    return MAINTENANCE if database != MAINTENANCE else "template1"


def quoted(name: str) -> str:
    """Return `name` as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_table(collection: str) -> str:
    """Return ``schema.table`` as an identifier; a schema's name holds no dot."""
    schema, _, table = collection.partition(".")
    return f"{quoted(schema)}.{quoted(table)}"


def literal(text: str) -> str:
    """Return `text` as a constant of SQL, of the type that it is compared with."""
    return "'" + text.replace("'", "''") + "'"


def marks_of(session: PostgresqlSession) -> dict[str, Any]:
    """Return the server's product and version."""
    ((version,),) = rows(session, "SHOW server_version")
    return {"product": "postgresql", "server": version}
