"""The content of a file written by mysqldump or mariadb-dump, read from the file itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ActionFailed
from rollproof.reading import open_regular

# Put before each line of the dump program's standard error, which follows the dump.
ERROR_PREFIX = b"-- standard error: "
TRAILER = b"-- Dump completed"
_USE = re.compile(rb"USE `((?:[^`]|``)+)`;\r?\n?")
_CREATE = re.compile(rb"CREATE (?:TABLE|SEQUENCE) `((?:[^`]|``)+)`")
_INSERT = re.compile(rb"INSERT INTO `((?:[^`]|``)+)` (?:\((?:`(?:[^`]|``)+`(?:, )?)+\) )?VALUES")
_MIB = 1 << 20
# As the programs of MySQL and MariaDB mark one; the rest of a line may hold any name.
_WARNING = re.compile(r"(?:-- )?(?:[\w./-]+: )?(?:\[warning\]|warning:)", re.IGNORECASE)
_TEXT = re.compile(rb"'(?:[^'\\]|\\.)*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dump:
    """The tables that a dump creates, with their numbers of rows, by ``database.table``.

    `complete` tells whether it ends as a whole dump does; `errors` are its program's complaints. Its longest
    statement that writes rows has `longest` bytes.
    """

    rows: dict[str, int]
    databases: tuple[str, ...]
    complete: bool
    errors: tuple[str, ...]
    longest: int = 0

    @property
    def complaints(self) -> list[str]:
        """The entries of `errors` that are more than warnings."""
        return [line for line in self.errors if not _WARNING.match(line)]


def read_dump(path: Path) -> Dump:
    """Read the dump at `path` once, in memory bounded by its longest line."""
    rows: dict[str, int] = {}
    # A statement before the first USE is of no database that anybody asked for.
    databases = [""]
    errors: list[str] = []
    complete = False
    into: str | None = None
    longest = length = 0
    with open_regular(path) as stream:
        for line in _outside_of_bodies(stream):
            if into is None:
                if line.startswith(ERROR_PREFIX):
                    errors.append(line.removeprefix(ERROR_PREFIX).decode(errors="replace").strip())
                    continue
                # Only complaints may follow the trailer.
                complete = line.startswith(TRAILER) or (complete and not line.strip())
                if use := _USE.fullmatch(line):
                    databases.append(_name(use[1]))
                elif create := _CREATE.match(line):
                    rows.setdefault(f"{databases[-1]}.{_name(create[1])}", 0)
                if not (insert := _INSERT.match(line)):
                    continue
                into, length = f"{databases[-1]}.{_name(insert[1])}", insert.end()
                line = line[insert.end() :]  # noqa: PLW2901 - what follows VALUES
            # Only in texts can a parenthesis be anything but the beginning of a row.
            if into in rows:
                rows[into] += _TEXT.sub(b"", line).count(b"(")
            length += len(line)
            longest = max(longest, length)
            if line.rstrip().endswith(b";"):
                into = None
    return Dump(rows, tuple(dict.fromkeys(databases[1:])), complete, tuple(errors), longest)


def expect_whole(dump: Dump, store: str, names: set[str], databases: Sequence[str], path: Path) -> None:
    """Check that the dump of `store` at `path` is whole: the tables `names`, no complaint.

    Raises:
        ActionFailed: the dump is not whole.
    """
    absent = sorted(names - dump.rows.keys())
    for observed in (
        dump.complaints and f"a complaint of the dump program: {' | '.join(dump.complaints)}",
        not dump.complete and "none: it was cut",
        absent and f"no table {', '.join(absent)}",
        set(dump.databases) != set(databases) and f"databases {', '.join(dump.databases)}",
    ):
        if observed:
            raise ActionFailed(
                what=f"dump of store {store}",
                expected="every table, no complaint, and '-- Dump completed' at the end",
                observed=observed,
                source=str(path),
                hint="see the privileges of the operator and the free space on the host",
            )


def expect_taken(dump: Dump, store: str, most: int, path: Path) -> None:
    """Check that the server of `store`, which takes `most` bytes at once, takes each statement of the dump.

    A dump has binary values in hexadecimal, twice as long as the server took them from the application. It
    would refuse one after the databases have been dropped.

    Raises:
        ActionFailed: it does not.
    """
    if dump.longest > most:
        enough = -(-dump.longest // _MIB) * _MIB
        raise ActionFailed(
            what=f"dump of store {store}",
            expected=f"statements of {most:,} bytes at most, the server's max_allowed_packet",
            observed=f"one of {dump.longest:,}",
            source=str(path),
            hint=f"SET GLOBAL max_allowed_packet = {enough}, and the same in the server's configuration",
        )


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
