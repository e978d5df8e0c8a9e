"""PostgreSQL, read side: every table of a database, hashed in the server as of one moment."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from rollproof.collection import Json
from rollproof.profile.data_formats import Marks
from rollproof.stores.client import Idle
from rollproof.stores.contract import (
    Answer,
    Beside,
    Digest,
    ExportedRecord,
    Neighbours,
    Pace,
    RecordHash,
    Rights,
    Selection,
)
from rollproof.stores.names import Name
from rollproof.stores.policy import excluded_of, policy_of
from rollproof.stores.postgresql import beside, schema
from rollproof.stores.postgresql.client import (
    MAINTENANCE,
    Postgresql,
    Session,
    literal,
    marks_of,
    quoted,
    quoted_table,
    rows,
    run,
)
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.postgresql.table import Table, read_table, texts
from rollproof.stores.postgresql.vectors import Vectors, read_vectors
from rollproof.stores.reach import Readable
from rollproof.stores.vectors import Searched, Searcher
from rollproof.system.side_by_side import Workers

# Rows that `ask` reads at most: enough to touch real data, few enough for a large table.
ASKED_ROWS = 1000
# Rows that come at a time: hashes and names, and whole rows, which may be of any size.
BLOCK = 5_000
WHOLE_ROWS = 20
_SEQUENCES = """
SELECT n.nspname || '.' || c.relname, s.seqincrement FROM pg_sequence AS s
JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' ORDER BY 1
"""
_CONNECTIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""


class PostgresqlReader(Searched):
    """Reads one database. Identical rows without a key are each exported."""

    _profile: PostgresqlProfile
    blind_spots: tuple[str, ...] = (
        "rows of materialized views, which a restore computes again, and of foreign tables",
        "virtual generated columns: their expression is compared, not their values",
        "the content of large objects: their number and names are compared",
        "indexes against their tables, but for those of vectors: `pg_amcheck --heapallindexed` compares them",
        "rows that an extension keeps in tables of its own",
        "casts, operators, rules, event triggers, extended statistics, default rights: a backup has them",
        "golden queries search one column of vectors of a table with a key, the first that has an index",
        "passwords of roles, rules of log-in (pg_hba.conf), options of subscriptions and foreign servers",
    )

    def __init__(self, readable: Readable[PostgresqlProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._idle = Idle(lambda: Postgresql(self._reach, self._profile.databases[0]))

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.close()

    def ask(self) -> Answer:
        """Count up to `ASKED_ROWS` rows of the first table that holds any."""
        countdown = self._reach.start()
        with self._connected() as session:
            names = schema.tables(session)
            if not names:
                raise self._reach.failed(
                    "no table",
                    expected=f"a table in {self._profile.databases[0]}",
                    hint="the tables were dropped, or the profile names another database",
                )
            for name in names:
                countdown.left()
                some = f"SELECT FROM ONLY {quoted_table(name)} LIMIT {ASKED_ROWS}"
                ((records,),) = rows(session, f"SELECT count(*) FROM ({some}) AS seen")
                if records:
                    break
            server = f"PostgreSQL {marks_of(session)['server']}"
        return Answer(f"SELECT count(*) of up to {ASKED_ROWS} rows", name, records, server)

    def marks(self) -> Marks:
        """Return the server's product and version."""
        with self._connected() as session:
            return marks_of(session)

    def revisions(self, table: str) -> tuple[str, ...]:
        """Return the revisions of alembic in ``schema.table``, or those of Django, as ``app.name``."""
        with self._connected() as session:
            found = read_table(session, table)
            if found is None:
                return ()
            django = {"app", "name"} <= {*found.columns}
            revision = "app || '.' || name" if django else "version_num"
            return tuple(sorted(one for (one,) in rows(session, f"SELECT {revision} {found.rows}")))

    def collections(self) -> Sequence[str]:
        """Return the tables as ``schema.table``; of a partitioned one its partitions."""
        with self._connected() as session:
            return schema.tables(session)

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows of every table, all as of one moment."""
        with self._connected() as session, session.transaction():
            return schema.count_rows(session, schema.tables(session))

    def count(self, collection: str) -> int:
        """Return the number of rows of one table."""
        with self._connected() as session:
            return schema.count_rows(session, [collection])[collection]

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected clients, and of those allowed to who is no superuser."""
        with self._connected() as session:
            ((used, allowed),) = rows(session, _CONNECTIONS)
        return used, allowed

    def schemas(self) -> Mapping[str, Json]:
        """Return the definitions of all objects of the database. See `read_schemas`."""
        with self._connected() as session, session.transaction():
            found = schema.read_schemas(session)
        # They come and go as records do.
        if policy_of(self._profile, schema.LARGE_OBJECTS) != "exact":
            found.pop(schema.LARGE_OBJECTS)
        return {**found}

    def positions(self) -> Mapping[str, Json]:
        """Return the number that each sequence gives next."""
        return {name: following for name, (following, _) in self._sequences().items()}

    def strayed(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        """Return the sequences that are gone, or would give numbers that they have given before."""
        now = self._sequences()
        faults = [f"sequence {name} is gone" for name in recorded if name not in now]
        for name, (following, step) in now.items():
            before = recorded.get(name)
            if isinstance(before, int) and (following - before) * step < 0:
                faults.append(f"sequence {name} goes on at {following}, behind {before}")
        return faults

    def _sequences(self) -> dict[str, tuple[int, int]]:
        """Return by name what each sequence gives next, and its step."""
        found = {}
        with self._connected() as session:
            for name, step in rows(session, _SEQUENCES):
                following = f"last_value + CASE WHEN is_called THEN {step} ELSE 0 END"
                ((found[name],),) = rows(
                    session, f"SELECT ARRAY[{following}, {step}] FROM {quoted_table(name)}"
                )
        return {name: (following, step) for name, (following, step) in found.items()}

    def beside(self) -> Beside:
        """Return roles, settings, replication slots, prepared transactions, and the databases of others."""
        with self._connected() as session:
            return beside.read_beside(session)

    def rights(self) -> Rights:
        """Return what the account may change, and what it lacks to restore."""
        with self._connected() as session:
            return beside.rights(session)

    def standing(self) -> Sequence[str]:
        """Return the tables; none if the database was dropped."""
        with Postgresql(self._reach, MAINTENANCE) as client, client.asked() as session:
            there = rows(session, "SELECT 1 FROM pg_database WHERE datname = %s", self._profile.databases)
        return self.collections() if there else ()

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield names from the table ``schema.table``, as texts."""
        chosen = [f"{quoted(name)}::text = {literal(value)}" for name, value in where.items()]
        with self._connected() as session, session.transaction():
            query = f"SELECT {', '.join(texts(fields))} {self._table(session, collection).rows}"
            for row in _stream(session, f"{query} WHERE {' AND '.join(chosen) or 'true'}", BLOCK):
                yield None if None in row else row

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` found in rows, compared here: a collation may equate different texts."""
        each = texts(fields)
        with self._connected() as session:
            query = f"SELECT DISTINCT {', '.join(each)} {self._table(session, collection).rows}"
            wanted = ", ".join(literal(name[0]) for name in names)
            found = rows(session, f"{query} WHERE {each[0]} IN ({wanted})")
        return {*found} & {*names}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Walk the key from bound to bound; a table without a key is one part."""
        bounds = [""]
        with self._connected() as session, session.transaction():
            table = self._table(session, collection)
            query = f"SELECT {', '.join(table.shown)} {table.rows} WHERE"
            while table.key:
                condition = table.between(bounds[-1], "")
                step = f"{query} {condition} ORDER BY {table.order} OFFSET {records} LIMIT 1"
                if not (found := rows(session, step)):
                    break
                bounds.append(json.dumps(found[0], ensure_ascii=False))
        return tuple(bounds)

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

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each row with its fields' hashes, computed in the server."""
        with self._connected() as session, session.transaction():
            table = self._table(session, collection)
            for part in parts:
                condition = table.part(division, part)
                with closing(_rows(session, table, condition, table.field_hashes, BLOCK)) as found:
                    for key, value, fields in found:
                        yield part, RecordHash(key, value, dict(zip(table.hashed, fields, strict=True)))

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted rows, including the columns that digests leave out, in the server's own texts."""
        with self._connected() as session, session.transaction():
            table = self._table(session, selection.collection)
            for part, wanted in selection.wanted.items():
                hashes = ", ".join(str(value) for _, value in wanted) or "NULL"
                condition = f"{table.part(selection.division, part)} AND {table.hash} IN ({hashes})"
                with closing(_rows(session, table, condition, texts(table.stored), WHOLE_ROWS)) as found:
                    for key, value, values in found:
                        if (key, value) in wanted:
                            yield ExportedRecord(key, value, dict(zip(table.stored, values, strict=True)))

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        """Search for the vectors of rows at equal distances in the order of keys; most tables have none."""
        with self._connected() as session:
            found = read_vectors(session, self._table(session, collection))
        return super().golden(collection, queries, limit) if found else ()

    def _searcher(self, collection: str) -> Searcher:
        def search(*vector: Any, **options: Any) -> list[tuple[str, float]]:  # noqa: ANN401 - a `Searcher`'s
            with self._connected() as session:
                return self._searched(session, collection).nearest(session, *vector, **options)

        return search

    def _vectors(self, collection: str, bounds: Sequence[str]) -> Iterator[Sequence[float]]:
        with self._connected() as session:
            found = self._searched(session, collection)
            for bound in bounds:
                yield from found.at(session, bound)

    def _searched(self, session: Session, collection: str) -> Vectors:
        found = read_vectors(session, self._table(session, collection))
        if found is None:
            raise self._reach.failed(
                "none",
                expected=f"a key and a column of vectors in {collection}",
                hint="it was dropped, or its extension: compare the schemas",
            )
        return found

    def _table(self, session: Session, collection: str) -> Table:
        """Prepare a table for reading; its definition is read each time, as it may have been altered."""
        table = read_table(session, collection, excluded_of(self._profile, collection))
        if table is None:
            raise self._reach.failed(
                "no table of that name",
                expected=f"table {collection}",
                hint="it was dropped or renamed; see the tables of the database",
            )
        return table

    @contextmanager
    def _connected(self) -> Iterator[Session]:
        """Give a connection; it is reused only if the block ends without an exception."""
        with self._idle.asked() as session:
            session.read_only = True
            yield session


def _rows(
    session: Session, table: Table, condition: str, selected: Sequence[str], block: int
) -> Generator[tuple[str, int, tuple[Any, ...]]]:
    """Yield the key, hash and `selected` values of each row; memory holds `block` rows at a time."""
    keys = len(table.shown)
    query = f"SELECT {', '.join([*table.shown, table.hash, *selected])} {table.rows} WHERE {condition}"
    for row in _stream(session, query, block):
        yield table.key_text(row[:keys], row[keys]), row[keys], row[keys + 1 :]


def _stream(session: Session, query: str, block: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `query`, `block` at a time, in the session's transaction."""
    with psycopg.ServerCursor(session, "rollproof") as cursor:
        cursor.itersize = block
        cursor.execute(query.encode())
        yield from cursor
