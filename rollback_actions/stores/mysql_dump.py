"""What a file written by mysqldump or mariadb-dump holds, read from the file itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Put before each line that the dump program wrote to its standard error, after the dump.
ERROR_PREFIX = b"-- standard error: "
TRAILER = b"-- Dump completed"
_USE = re.compile(rb"USE `((?:[^`]|``)+)`;\r?\n?")
_CREATE = re.compile(rb"CREATE (?:TABLE|SEQUENCE) `((?:[^`]|``)+)`")
_INSERT = re.compile(rb"INSERT INTO `((?:[^`]|``)+)` (?:\((?:`(?:[^`]|``)+`(?:, )?)+\) )?VALUES")
_TEXT = re.compile(rb"'(?:[^'\\]|\\.)*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dump:
    """The tables that a dump makes with their rows, by ``database.table``.

    `complete` tells whether it ends as a whole dump does; `errors` is what its program complained of.
    """

    rows: dict[str, int]
    databases: tuple[str, ...]
    complete: bool
    errors: tuple[str, ...]


def read_dump(path: Path) -> Dump:
    """Read the dump at `path` once, in memory bounded by its longest line."""
    rows: dict[str, int] = {}
    databases: list[str] = []
    errors: list[str] = []
    complete = False
    into: str | None = None
    with path.open("rb") as stream:
        for line in _outside_of_bodies(stream):
            if into is None:
                if line.startswith(ERROR_PREFIX):
                    errors.append(line.removeprefix(ERROR_PREFIX).decode(errors="replace").strip())
                    continue
                # Nothing but complaints may follow the trailer.
                complete = line.startswith(TRAILER) or (complete and not line.strip())
                if use := _USE.fullmatch(line):
                    databases.append(_name(use[1]))
                elif create := _CREATE.match(line):
                    rows.setdefault(f"{databases[-1]}.{_name(create[1])}", 0)
                if not (insert := _INSERT.match(line)):
                    continue
                into = f"{databases[-1]}.{_name(insert[1])}"
                line = line[insert.end() :]  # noqa: PLW2901 - what follows VALUES
            # Texts are the only place where a parenthesis is not the beginning of a row.
            if into in rows:
                rows[into] += _TEXT.sub(b"", line).count(b"(")
            if line.rstrip().endswith(b";"):
                into = None
    return Dump(rows, tuple(dict.fromkeys(databases)), complete, tuple(errors))


def _outside_of_bodies(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines outside of triggers, routines and events: a line of those may look like any other."""
    inside = False
    for line in stream:
        if line.startswith(b"DELIMITER "):
            inside = line.strip() != b"DELIMITER ;"
        elif not inside:
            yield line


def _name(quoted: bytes) -> str:
    return quoted.decode().replace("``", "`")
