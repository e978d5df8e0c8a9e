"""A dump: the programs that write and load it, and the content of its file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollproof.reading import open_regular
from rollproof.stores.mysql.connection import Flavour

# Put before each line of the dump program's standard error, which follows the dump.
ERROR_PREFIX = b"-- standard error: "
TRAILER = b"-- Dump completed"
_USE = re.compile(rb"USE `((?:[^`]|``)+)`;\r?\n?")
_CREATE = re.compile(rb"CREATE (?:TABLE|SEQUENCE) `((?:[^`]|``)+)`")
_INSERT = re.compile(rb"INSERT INTO `((?:[^`]|``)+)` (?:\((?:`(?:[^`]|``)+`(?:, )?)+\) )?VALUES")
# As the programs of MySQL and MariaDB mark one; the rest of a line may hold any name.
_WARNING = re.compile(r"(?:-- )?(?:[\w./-]+: )?(?:\[warning\]|warning:)", re.IGNORECASE)
_TEXT = re.compile(rb"'(?:[^'\\]|\\.)*'", re.DOTALL)
PROGRAMS: dict[Flavour, tuple[str, str]] = {
    "mysql": ("mysqldump", "mysql"),
    "mariadb": ("mariadb-dump", "mariadb"),
}
# Appends the dump program's standard error to the dump, as comments.
DUMP_SCRIPT = f"""
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
"$@" 2> "$errors"
code=$?
cat "$errors" >&2
sed 's/^/{ERROR_PREFIX.decode()}/' "$errors"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Dump:
    """The tables that a dump creates, with their numbers of rows, by ``database.table``.

    `complete` tells whether it ends as a whole dump does; `complaints` are its program's, warnings apart.
    """

    rows: dict[str, int]
    complete: bool
    complaints: list[str]


def read_dump(path: Path) -> Dump:
    """Read the dump at `path` once, in memory bounded by its longest line."""
    rows: dict[str, int] = {}
    # A statement before the first USE is of no database that anybody asked for.
    database = ""
    complaints: list[str] = []
    complete = False
    into: str | None = None
    with open_regular(path) as stream:
        for line in _outside_of_bodies(stream):
            if into is None:
                if line.startswith(ERROR_PREFIX):
                    complaint = line.removeprefix(ERROR_PREFIX).decode(errors="replace").strip()
                    if not _WARNING.match(complaint):
                        complaints.append(complaint)
                    continue
                # Only complaints may follow the trailer.
                complete = line.startswith(TRAILER) or (complete and not line.strip())
                if use := _USE.fullmatch(line):
                    database = _name(use[1])
                elif create := _CREATE.match(line):
                    rows.setdefault(f"{database}.{_name(create[1])}", 0)
                if not (insert := _INSERT.match(line)):
                    continue
                into = f"{database}.{_name(insert[1])}"
                line = line[insert.end() :]  # noqa: PLW2901 - what follows VALUES
            # Only in texts can a parenthesis be anything but the beginning of a row.
            if into in rows:
                rows[into] += _TEXT.sub(b"", line).count(b"(")
            if line.rstrip().endswith(b";"):
                into = None
    return Dump(rows, complete, complaints)


def _outside_of_bodies(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines outside of triggers, routines and events: lines inside may look like any other."""
    inside = False
    for line in stream:
        if line.startswith(b"DELIMITER "):
            inside = line.strip() != b"DELIMITER ;"
        elif not inside:
            yield line


def _name(quoted: bytes) -> str:
    return quoted.decode().replace("``", "`")
