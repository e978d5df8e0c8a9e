"""PostgreSQL, read side: every table of a database, hashed in the server as of one moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar

import psycopg

from rollproof.collection import Json
from rollproof.profile.data_formats import Marks
from rollproof.stores.client import Idle
from rollproof.stores.contract import Digest, Pace, Rights, Unlisted
from rollproof.stores.names import Name
from rollproof.stores.policy import excluded_of
from rollproof.stores.postgresql import schema, unlisted
from rollproof.stores.postgresql.client import (
    Postgresql,
    PostgresqlSession,
    literal,
    maintenance_of,
    marks_of,
    quoted,
    quoted_table,
    rows,
    run,
)
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.postgresql.table import PostgresqlTable, read_table, texts
from rollproof.stores.postgresql.vectors import VectorReader
from rollproof.stores.reach import Readable
from rollproof.stores.tables import ASKED_ROWS, BLOCK, Rows, revision_columns
from rollproof.system.side_by_side import Workers

# The rows of names that come at a time.
NAMES = 5_000
_SEQUENCES = """
SELECT schemaname || '.' || sequencename, CASE WHEN increment_by > 0 AND NOT cycle THEN increment_by END
FROM pg_sequences WHERE schemaname !~ '^pg_' ORDER BY 1
"""
_CONNECTIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""


class PostgresqlReader(VectorReader):
    """Reads one database."""

    whole_rows: ClassVar[int] = 20
    _profile: PostgresqlProfile
    blind_spots: tuple[str, ...] = (
        "rows of materialized views, which a restore computes again, and of foreign tables",
        "virtual generated columns: their expression is compared, not their values",
        "indexes against their tables, except those of vectors: `pg_amcheck --heapallindexed` compares them",
        "rows that an extension keeps in tables of its own",
        "the next number of a sequence that falls or cycles",
        "casts, operators, rules, event triggers, extended statistics, default rights: a backup has them",
        "statistics targets and n_distinct of columns, comments on extensions: likewise",
        "what an aggregate is made of: likewise",
        "searches are of one column of vectors of a table with a key, the first that has an index",
        "passwords of roles, rules of log-in (pg_hba.conf), options of foreign servers",
    )

    def __init__(self, readable: Readable[PostgresqlProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._database = self._profile.databases[0]
        self._idle = Idle(lambda: Postgresql(self._reach, self._database, read_only=True))

    def _tables(self, session: PostgresqlSession) -> list[str]:
        return schema.tables(session)

    def _count(self, session: PostgresqlSession, names: Sequence[str]) -> dict[str, int]:
        return schema.count_rows(session, names)

    def _few(self, session: PostgresqlSession, name: str) -> int:
        some = f"SELECT FROM ONLY {quoted_table(name)} LIMIT {ASKED_ROWS}"
        ((number,),) = rows(session, f"SELECT count(*) FROM ({some}) AS few")
        return int(number)

    def _server(self, session: PostgresqlSession) -> str:
        return f"PostgreSQL {marks_of(session)['server']}"

    def marks(self) -> Marks:
        """Return the server's product and version."""
        with self._connected() as session:
            return marks_of(session)

    def revisions(self, table: str) -> tuple[str, ...]:
        """Return the revisions in ``schema.table``."""
        with self._connected() as session:
            if not read_table(session, table):
                return ()
            found = rows(session, f"SELECT {', '.join(revision_columns(table))} FROM {quoted_table(table)}")
        return tuple(sorted(".".join(revision) for revision in found))

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected clients, and of those allowed to who is no superuser."""
        with self._connected() as session:
            ((used, allowed),) = rows(session, _CONNECTIONS)
        return used, allowed

    def schemas(self) -> Mapping[str, Json]:
        """Return the definitions of all objects of the database. See `read_schemas`."""
        with self._connected() as session, session.transaction():
            return {**schema.read_schemas(session)}

    def positions(self) -> dict[str, Json]:
        """Return the number that each sequence gives next.

        Each is asked itself: the server's view hides what was set and has given no number since.
        """
        return {name: number for name, number in self._numbers().items() if number is not None}

    def _numbers(self) -> dict[str, int | None]:
        """Return the next number of each sequence, None of one that falls or cycles."""
        found = dict[str, int | None]()
        with self._connected() as session:
            for name, step in rows(session, _SEQUENCES):
                found[name] = None
                if step:
                    following = f"last_value + CASE WHEN is_called THEN {step} ELSE 0 END"
                    ((found[name],),) = rows(session, f"SELECT {following} FROM {quoted_table(name)}")
        return found

    def position_faults(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return the sequences that are gone, or would give numbers that they have given before."""
        now = self._numbers()
        before: Mapping[str, Any] = recorded
        faults = [f"sequence {name} is gone" for name in before if name not in now]
        for name, number in now.items():
            # That one falls or cycles now is a difference of its definition.
            if number is not None and number < before.get(name, number):
                faults.append(f"sequence {name} goes on at {number}, behind {before[name]}")
        return faults

    def unlisted(self) -> Unlisted:
        """Return roles, settings, replication slots and the like, and the databases of others."""
        with self._connected() as session:
            return unlisted.read_unlisted(session)

    def rights(self) -> Rights:
        """Return what the account may change, and what it lacks to restore."""
        with self._connected() as session:
            return unlisted.rights(session)

    def existing_collections(self) -> Sequence[str]:
        """Return the tables; none if the database was dropped."""
        with Postgresql(self._reach, maintenance_of(self._database)) as client, client.asked() as session:
            there = rows(session, "SELECT 1 FROM pg_database WHERE datname = %s", [self._database])
        return self.collections() if there else ()

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield names from the table ``schema.table``, as texts."""
        chosen = [f"{quoted(name)}::text = {literal(value)}" for name, value in where.items()]
        with self._connected() as session, session.transaction():
            query = f"SELECT {', '.join(texts(fields))} {self._table(session, collection).rows}"
            for row in _stream(session, f"{query} WHERE {' AND '.join(chosen) or 'true'}", NAMES):
                yield None if None in row else row

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` found in rows, compared here: a collation may equate different texts."""
        each = texts(fields)
        with self._connected() as session:
            query = f"SELECT DISTINCT {', '.join(each)} {self._table(session, collection).rows}"
            wanted = ", ".join(literal(name[0]) for name in names)
            found = rows(session, f"{query} WHERE {each[0]} IN ({wanted})")
        return {*found} & {*names}

    def _step(self, session: PostgresqlSession, table: PostgresqlTable, first: str, size: int) -> str:
        if not table.key:
            return ""
        query = f"SELECT {', '.join(table.shown)} {table.rows} WHERE {table.between(first, '')}"
        found = rows(session, f"{query} ORDER BY {table.order} OFFSET {size} LIMIT 1")
        return json.dumps(found[0], ensure_ascii=False) if found else ""

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield each part's count and sum of row hashes, computed in the server, all as of one moment."""
        with self._connected() as leader, leader.transaction():
            table = self._table(leader, collection)
            ((snapshot,),) = rows(leader, "SELECT pg_export_snapshot()")
            query = f"SELECT count(*), sum({table.hash})::text {table.rows} WHERE"
            with Workers(min(pace.connections, len(parts)), "postgresql") as workers:

                def digested(part: int) -> Iterator[tuple[int, Digest]]:
                    with self._connected() as session, session.transaction():
                        run(session, f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
                        started = time.monotonic()
                        ((count, total),) = rows(session, f"{query} {table.part(division, part)}")
                    pace.next_size(count, time.monotonic() - started)
                    yield part, Digest(count, int(total or 0))

                yield from workers.merged(digested, parts)

    def _rows(
        self,
        session: PostgresqlSession,
        table: PostgresqlTable,
        division: Sequence[str],
        part: int,
        pace: Pace,
        selected: Sequence[str],
        *,
        where: str = "TRUE",
        block: int = BLOCK,
    ) -> Rows:
        keys = len(table.shown)
        query = f"SELECT {', '.join([*table.shown, table.hash, *selected])} {table.rows}"
        query += f" WHERE {where} AND {table.part(division, part)}"
        with session.transaction(), closing(_stream(session, query, block)) as found:
            for row in found:
                yield table.key_text(row[:keys], row[keys]), row[keys], row[keys + 1 :]

    def _whole(self, table: PostgresqlTable) -> tuple[Sequence[str], Callable[[Sequence[Any]], Json]]:
        # Each value is in the server's own text.
        return texts(table.stored), lambda values: dict(zip(table.stored, values, strict=True))

    def _table(self, session: PostgresqlSession, collection: str) -> PostgresqlTable:
        table = read_table(session, collection, excluded_of(self._profile, collection))
        if table is None:
            raise self._no_table(collection)
        return table


def _stream(session: PostgresqlSession, query: str, block: int) -> Generator[tuple[Any, ...]]:
    """Yield the rows of `query`, `block` at a time, in the session's transaction."""
    with psycopg.ServerCursor(session, "rollproof") as cursor:
        cursor.itersize = block
        cursor.execute(query.encode())
        yield from cursor
