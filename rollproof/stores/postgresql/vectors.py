"""Columns of pgvector's types, searched exactly and through their index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rollproof.stores.contract import LOADED, Vector
from rollproof.stores.names import key_text, key_values
from rollproof.stores.postgresql.client import PostgresqlSession, literal, quoted_table, rows, run
from rollproof.stores.postgresql.table import PostgresqlTable
from rollproof.stores.tables import TableReader
from rollproof.stores.vectors import Searched, Searcher

# What an index orders rows by, or else a column itself; and the operator of the distance. A partial index is
# taken by searches with its own condition alone.
_SEARCHED = """
SELECT expression, format_type(t.oid, modifier), format('OPERATOR(%%I.%%s)', n.nspname, o.oprname),
  format('%%I.vector_dims', n.nspname)
FROM (
  SELECT x.relname AS name, 0 AS position, pg_get_indexdef(x.oid, 1, false) AS expression,
    a.atttypid AS type, a.atttypmod AS modifier, p.amopopr AS operator
  FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_am AS m ON m.oid = x.relam AND m.amname IN ('hnsw', 'ivfflat')
  JOIN pg_attribute AS a ON a.attrelid = x.oid AND a.attnum = 1
  JOIN pg_opclass AS c ON c.oid = i.indclass[0]
  JOIN pg_amop AS p ON p.amopfamily = c.opcfamily AND p.amoppurpose = 'o'
  WHERE i.indrelid = to_regclass(%(table)s) AND i.indpred IS NULL
  UNION ALL
  SELECT NULL, a.attnum, quote_ident(a.attname), a.atttypid, a.atttypmod, o.oid
  FROM pg_attribute AS a JOIN pg_operator AS o ON o.oprname = '<->'
    AND o.oprleft = a.atttypid AND o.oprright = a.atttypid
  WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
) AS one JOIN pg_type AS t ON t.oid = one.type AND t.typname IN ('vector', 'halfvec')
JOIN pg_operator AS o ON o.oid = one.operator JOIN pg_namespace AS n ON n.oid = o.oprnamespace
ORDER BY position, name LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of a table with a key: those of its first index by name, or else of its first column.

    `expression` and `type` are as the index has them: only by these a search goes through it.
    """

    table: PostgresqlTable
    expression: str
    type: str
    operator: str
    dimensions: str

    def at(self, session: PostgresqlSession, bound: str) -> Iterator[list[float]]:
        """Yield the first vector from a bound of the table's division on that has a distance to others."""
        itself = f"{self.expression} {self.operator} {self.expression}"
        found = rows(
            session,
            f"SELECT {self.expression}::text {self.table.rows} WHERE {self.table.between(bound, '')}"
            f" AND {_is_number(itself)} ORDER BY {self.table.order} LIMIT 1",
        )
        for (text,) in found:
            yield json.loads(text)

    def nearest(
        self,
        session: PostgresqlSession,
        vector: Sequence[float],
        limit: int,
        *,
        exact: bool = False,
        without: Sequence[str] = (),
    ) -> list[tuple[str, float]]:
        """Return the keys and distances of the rows nearest to `vector`. See `Searcher`."""
        distance = f"({self.expression} {self.operator} {literal(json.dumps([*vector]))}::{self.type})"
        if not self.type.endswith(")"):  # no index, and vectors of any dimension
            distance = f"CASE {self.dimensions}({self.expression}) WHEN {len(vector)} THEN {distance} END"
        conditions = [_is_number(distance)]
        if without:
            keys = (key_values(key, len(self.table.key)) for key in without)
            others = (f"ROW({', '.join(map(literal, key))})" for key in keys)
            conditions.append(f"ROW({self.table.order}) NOT IN ({', '.join(others)})")
        query = (
            f"SELECT {', '.join(self.table.shown)}, {distance} AS distance {self.table.rows}"
            f" WHERE {' AND '.join(conditions)} ORDER BY distance LIMIT {limit}"
        )
        with session.transaction():
            # However small the table is, its index is taken, or not.
            run(session, f"SET LOCAL {'enable_indexscan' if exact else 'enable_sort'} = off")
            return [(key_text(key), float(score)) for *key, score in rows(session, query)]


class VectorReader(TableReader, Searched):
    """What a reader of tables searches: columns of vectors."""

    def load_state(self, collection: str) -> str:
        """Return `LOADED`: a column of vectors that is there can be searched."""
        with self._connected() as session:
            self._searched(session, collection)
        return LOADED

    def vectors(self, collection: str, most: int) -> tuple[Vector, ...]:
        """Return the vectors of rows at equal distances in the order of keys; most tables have none."""
        with self._connected() as session:
            found = read_vectors(session, self._table(session, collection))
        return super().vectors(collection, most) if found else ()

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

    def _searched(self, session: PostgresqlSession, collection: str) -> Vectors:
        found = read_vectors(session, self._table(session, collection))
        if found is None:
            raise self._reach.failed(
                "none",
                expected=f"a key and a column of vectors in {collection}",
                hint="it was dropped, or its extension: compare the schemas",
            )
        return found


def read_vectors(session: PostgresqlSession, table: PostgresqlTable) -> Vectors | None:
    """Return what of a table can be searched; None without a key, or without vectors."""
    found = rows(session, _SEARCHED, {"table": quoted_table(table.name)}) if table.key else []
    return Vectors(table, *found[0]) if found else None


def _is_number(distance: str) -> str:
    """Return the condition for a distance that there is: there is none from NULL, nor an angle from zero."""
    return f"{distance} < 'Infinity'"
