"""A table's columns and its key: the text of a row that is hashed, and the bounds that cut it into parts.

The hashed text is the server's own of a row: ``(1,"a b",,"")``. It is unambiguous: NULL is nothing, an empty
text is two quotation marks, and texts are escaped. Values are in the form in which a dump has them, under
the settings of `client`. A bound is a JSON list of the key's texts; the server compares keys as rows, by the
columns' own types and collations: every row falls into exactly one part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rollproof.stores.contract import FIELD_BITS, HASH_BITS
from rollproof.stores.names import key_text
from rollproof.stores.postgresql.client import PostgresqlSession, literal, quoted, quoted_table, rows
from rollproof.stores.postgresql.schema import LARGE_OBJECTS, ORDER, owned

# Generated ones are computed by the server; if only when they are read (PostgreSQL 18), they are left out.
_COLUMNS = f"""
SELECT attname, attgenerated <> '', (SELECT relkind = 'p' FROM pg_class WHERE oid = attrelid)
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0
AND NOT attisdropped AND attgenerated <> 'v' ORDER BY {ORDER}
"""
# The columns of a unique index of every row, the primary key if there is one. An expression is no key.
_KEY = """
SELECT array_agg(a.attname ORDER BY k.place)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
AND i.indexprs IS NULL AND m.amname = 'btree' AND k.place <= i.indnkeyatts
GROUP BY i.indisprimary, c.relname HAVING bool_and(a.attnotnull)
ORDER BY i.indisprimary DESC, c.relname LIMIT 1
"""
# Of pages alone: an object's own functions ask for a right on each object.
_PAGES = "FROM pg_largeobject AS p WHERE p.loid = m.oid"
_LARGE_OBJECTS = f"""
(SELECT m.oid, {owned("m.lomowner", "m.lomacl", "L")},
  (SELECT sha256(string_agg(sha256(int4send(p.pageno) || p.data), '' ORDER BY p.pageno)) {_PAGES}) AS content,
  coalesce((SELECT string_agg(p.data, '' ORDER BY p.pageno) {_PAGES}), '') AS bytes
FROM pg_largeobject_metadata AS m)
"""


@dataclass(frozen=True, slots=True)
class PostgresqlTable:
    """A table prepared for reading: its columns, those that a dump has, that identify a row, and in its hash.

    `key` is empty for a table without a unique index of every row.
    """

    name: str
    columns: tuple[str, ...]
    stored: tuple[str, ...]
    key: tuple[str, ...]
    hashed: tuple[str, ...]
    partitioned: bool = False

    @property
    def rows(self) -> str:
        """Return the FROM clause for its own rows, or its partitions', not of tables that inherit from it."""
        if self.name == LARGE_OBJECTS:
            return f"FROM {_LARGE_OBJECTS} AS t"
        return f"FROM {'' if self.partitioned else 'ONLY '}{quoted_table(self.name)} AS t"

    @property
    def hash(self) -> str:
        """Return the expression of a row's hash, `HASH_BITS` of the server's 64."""
        return f"({_hash(self.hashed)} & {(1 << HASH_BITS) - 1})"

    @property
    def field_hashes(self) -> list[str]:
        """Return expressions of `FIELD_BITS` bits, to find the field in which two rows differ."""
        return [f"{_hash([name])} & {(1 << FIELD_BITS) - 1}" for name in self.hashed]

    @property
    def shown(self) -> list[str]:
        """Return the expressions that show a row's key, or its first column, to people."""
        return texts(self.key or self.columns[:1])

    @property
    def order(self) -> str:
        """Return the key's columns. By its name alone, ORDER BY takes a column's text if that is selected."""
        return ", ".join(f"t.{quoted(name)}" for name in self.key)

    def key_text(self, values: Sequence[str | None], row: int) -> str:
        """Return the key that people read, of the values of `shown` and the hash of the row."""
        if not self.key:
            return f"row without a key, hash {row}, first column {values[0]}"
        return key_text(values)

    def part(self, division: Sequence[str], number: int) -> str:
        """Return the condition for rows of a part. See `between`."""
        return self.between(division[number], next(iter(division[number + 1 :]), ""))

    def between(self, first: str, end: str) -> str:
        """Return the condition for rows from the bound `first` on and before `end`; "" is no bound.

        Raises:
            ValueError: a bound does not fit this key.
        """
        conditions = []
        for bound, operator in ((first, ">="), (end, "<")):
            if bound:
                values = self._literals(bound)
                conditions.append(f"ROW({self.order}) {operator} ROW({', '.join(values)})")
                # Redundant, but only from one column the server foresees that an index leads to few rows.
                conditions.append(f"t.{quoted(self.key[0])} {operator[0]}= {values[0]}")
        return " AND ".join(conditions) or "true"

    def _literals(self, bound: str) -> list[str]:
        values = json.loads(bound)
        if not self.key or not isinstance(values, list) or len(values) != len(self.key):
            raise ValueError(f"{bound} for the key ({self.order}): the table's key was altered")
        return [literal(str(value)) for value in values]


def read_table(
    session: PostgresqlSession, collection: str, excluded: frozenset[str] = frozenset()
) -> PostgresqlTable | None:
    """Return a table whose hashes leave out the columns `excluded`; None if there is no such table."""
    if collection == LARGE_OBJECTS:
        compared = tuple(name for name in ("oid", "owner", "rights", "content") if name not in excluded)
        return PostgresqlTable(collection, compared, ("oid", "owner", "bytes"), ("oid",), compared)
    place = [quoted_table(collection)]
    found = rows(session, _COLUMNS, place)
    if not found:
        return None
    columns = tuple(name for name, *_ in found)
    stored = tuple(name for name, generated, _ in found if not generated)
    key = tuple(one for (names,) in rows(session, _KEY, place) for one in names)
    hashed = tuple(name for name in columns if name not in excluded)
    return PostgresqlTable(collection, columns, stored, key, hashed, found[0][2])


def texts(columns: Sequence[str]) -> list[str]:
    """Return expressions of the columns' values as texts."""
    return [f"{quoted(name)}::text" for name in columns]


def _hash(columns: Sequence[str]) -> str:
    return f'hashtextextended(ROW({", ".join(map(quoted, columns))})::text COLLATE "C", 0)'
