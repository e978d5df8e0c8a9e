"""The rights of an account in MySQL or MariaDB, by its own grants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rollproof.stores.contract import Rights
from rollproof.stores.mysql.privileges import ALL, parsed

# TRIGGER and EVENT are not among them: without these a reader does not see what it must.
_WRITING = frozenset(
    {
        *(ALL, "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "CREATE", "DROP", "ALTER", "INDEX"),
        *("CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "GRANT OPTION", "SUPER", "FILE"),
    }
)
# A grant on one table or some of its columns; the names of columns stand in parentheses.
_OF_A_TABLE = re.compile(
    r"GRANT (?P<privileges>.+) ON (?P<database>`(?:[^`]|``)+`)\.(?P<table>`(?:[^`]|``)+`) TO "
)
_COLUMNS = re.compile(r"\s*\([^)]*\)")


def judged(lines: Iterable[str], databases: Sequence[str]) -> Rights:
    """Return the rights in the lines of SHOW GRANTS, those of single tables and columns included."""
    lines = tuple(lines)
    held = parsed(lines)
    writes = [f"{one} on {name}" for name in databases for one in sorted(held.on(name) & _WRITING)]
    return Rights((*writes, *_of_tables(lines, databases)), tuple(held.missing(databases)))


def _of_tables(lines: Iterable[str], databases: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if match := _OF_A_TABLE.match(line):
            database, table = (match[part][1:-1].replace("``", "`") for part in ("database", "table"))
            given = frozenset(re.split(r",\s*", _COLUMNS.sub("", match["privileges"])))
            if database in databases:
                yield from (f"{one} on {database}.{table}" for one in sorted(given & _WRITING))
