"""A dump: the programs that write and load it inside the store's container, and the content of its file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollproof.errors import ActionFailed
from rollproof.reading import open_regular
from rollproof.stores.mysql.connection import Flavour, Session, rows
from rollproof.stores.mysql.descriptor import MysqlProfile

if TYPE_CHECKING:
    from rollback_actions.containers.compose import ComposeControl


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
# Held by the restoring session, so that a second restore finds a first that outlived its caller.
LOCK = "rollproof restore"
# A restore waits at most this long for a session that still uses a table.
TABLE_LOCK_SECONDS = 60


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


class Programs:
    """Runs them as the operator of `profile`."""

    def __init__(self, profile: MysqlProfile, control: ComposeControl) -> None:
        """Remember where they are."""
        self._operator = profile.operator
        self._service = profile.address.service or profile.services[0]
        self._control = control

    def dump(
        self,
        connection: Session,
        path: Path,
        databases: Sequence[str],
        ignored: Collection[tuple[str, str]],
        *,
        deadline: float,
    ) -> None:
        """Write a dump of `databases` within `deadline` seconds, without the tables and views `ignored`."""
        command = [
            *self._client(connection, PROGRAMS[connection.flavour][0]),
            *("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"),
            *("--no-tablespaces", "--add-drop-database"),
            *(f"--ignore-table={database}.{name}" for database, name in ignored),
            # Numbers of transactions and masking policies (new in 9.7) are the server's, not the databases'.
            *(
                ["--set-gtid-purged=OFF", "--loose-masking-policies=0"]
                if connection.flavour == "mysql"
                else []
            ),
            *("--databases", "--", *databases),
        ]
        self._control.run(
            self._service,
            ["sh", "-c", DUMP_SCRIPT, "sh", *command],
            deadline=deadline,
            environment={"MYSQL_PWD": self._operator.password},
            stdout=path,
        )

    def load(self, connection: Session, path: Path, *, deadline: float) -> None:
        """Run the statements of the dump at `path`, within `deadline` seconds."""
        session = f"SET SESSION lock_wait_timeout = {TABLE_LOCK_SECONDS}, @held = GET_LOCK('{LOCK}', 5)"
        self._control.run(
            self._service,
            [
                *self._client(connection, PROGRAMS[connection.flavour][1]),
                # The client takes no data for its own commands, and sends no statement twice.
                "--binary-mode",
                "--skip-reconnect",
                f"--init-command={session}",
            ],
            deadline=deadline,
            environment={"MYSQL_PWD": self._operator.password},
            stdin=path,
        )

    def _client(self, connection: Session, program: str) -> list[str]:
        """Return the beginning of a command line that connects inside the container; it holds no secret."""
        ((port,),) = rows(connection, "SELECT @@port")
        return [
            program,
            *("--no-defaults", "--protocol=TCP", "--host=127.0.0.1", f"--port={port}"),
            f"--user={self._operator.user}",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            *(["--get-server-public-key"] if connection.flavour == "mysql" else []),
        ]
