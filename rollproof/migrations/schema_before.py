"""The tables before a migration, as the baseline recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollproof.baseline.facts import Facts
from rollproof.collection import Json
from rollproof.profile.kinds import kinds


@dataclass(frozen=True, slots=True)
class Column:
    """A column; a field is None if its value is unknown."""

    type: str
    nullable: bool | None = None
    charset: str | None = None
    # A default, or the next number.
    filled: bool | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns by lower-case name, its unique indexes, its character set."""

    columns: Mapping[str, Column]
    unique: frozenset[str] = frozenset()
    charset: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaBefore:
    """All known tables, by ``database.table``, and the dialect of their servers, "" if that is unknown."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    dialect: str = ""

    def table(self, name: str, database: str = "") -> Table | None:
        """Return the table called `name`, or None if it is unknown or, without `database`, ambiguous."""
        found = [
            table
            for known, table in self.tables.items()
            if known == f"{database}.{name}" or (not database and known.partition(".")[2] == name)
        ]
        return found[0] if len(found) == 1 else None

    def has(self, name: str, database: str = "") -> bool:
        """Return whether some table may be the one called `name`, in any spelling."""
        return any(
            known.partition(".")[2].lower() == name.lower()
            and (not database or known.partition(".")[0].lower() == database.lower())
            for known in self.tables
        )

    def lacks(self, name: str, database: str = "") -> bool:
        """Return whether there is no such table for certain: others of its database are known."""
        databases = {known.partition(".")[0].lower() for known in self.tables}
        return bool(
            (database.lower() in databases if database else databases) and not self.has(name, database)
        )

    def lacks_column(self, table: str, name: str, database: str = "") -> bool:
        """Return whether a known table has no such column."""
        found = self.table(table, database)
        return found is not None and name.lower() not in found.columns

    def column(self, table: str, name: str, database: str = "") -> Column | None:
        """Return a column of a table, or None if it is unknown."""
        found = self.table(table, database)
        return found.columns.get(name.lower()) if found is not None else None


def schema_before(facts: Facts) -> SchemaBefore:
    """Return the tables of a baseline's SQL stores; a name that two stores share counts as unknown.

    So does the dialect, if they speak several: which of them a statement is for is not known.
    """
    tables: dict[str, Table] = {}
    twice: set[str] = set()
    dialects: set[str] = set()
    for store, content in facts.contents.items():
        kind = kinds().get(facts.stores[store].kind) if store in facts.stores else None
        if kind is None or not kind.dialect:
            continue
        dialects.add(kind.dialect)
        for name, schema in content.schemas.items():
            if isinstance(schema, dict) and isinstance(schema.get("columns"), dict):
                twice |= {name} & set(tables)
                tables[name] = _table(schema)
    known = {name: table for name, table in tables.items() if name not in twice}
    return SchemaBefore(known, dialects.pop() if len(dialects) == 1 else "")


def _table(schema: Mapping[str, Json]) -> Table:
    collation = schema.get("collation")
    return Table(
        columns={name.lower(): _column(column) for name, column in _parts(schema, "columns").items()},
        unique=frozenset(
            name.lower() for name, index in _parts(schema, "indexes").items() if index.get("unique")
        ),
        charset=collation.partition("_")[0] if isinstance(collation, str) else None,
    )


def _column(column: Mapping[str, Json]) -> Column:
    nullable, charset, extra = column.get("nullable"), column.get("charset"), column.get("extra")
    counts = isinstance(extra, str) and "auto_increment" in extra.lower()
    return Column(
        type=str(column.get("type")),
        nullable=nullable == "YES" if nullable in {"YES", "NO"} else None,
        charset=charset if isinstance(charset, str) else None,
        filled=counts or column.get("default") is not None,
    )


def _parts(schema: Mapping[str, Json], kind: str) -> dict[str, Mapping[str, Json]]:
    parts = schema.get(kind)
    return {n: part for n, part in parts.items() if isinstance(part, dict)} if isinstance(parts, dict) else {}
