"""The programs of MySQL and MariaDB that dump and load, run inside the store's container."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.stores.mysql.connection import Flavour, rows
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.dump import ERROR_PREFIX

if TYPE_CHECKING:
    from rollback_actions.containers.compose import ComposeControl

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


class Programs:
    """Runs them as the operator of `profile`."""

    def __init__(self, profile: MysqlProfile, control: ComposeControl) -> None:
        """Remember where they are."""
        self._operator = profile.operator
        self._service = profile.address.service or profile.services[0]
        self._control = control

    def dump(
        self,
        connection: Connection[Cursor],
        flavour: Flavour,
        path: Path,
        databases: Sequence[str],
        ignored: Collection[tuple[str, str]],
        *,
        deadline: float,
    ) -> None:
        """Write a dump of `databases` within `deadline` seconds, without the tables and views `ignored`."""
        command = [
            *self._client(connection, flavour, PROGRAMS[flavour][0]),
            "--single-transaction",
            "--quick",
            "--routines",
            "--triggers",
            "--events",
            "--hex-blob",
            "--no-tablespaces",
            "--add-drop-database",
            *(f"--ignore-table={database}.{name}" for database, name in ignored),
            # Numbers of transactions and masking policies (new in 9.7) are the server's, not the databases'.
            *(["--set-gtid-purged=OFF", "--loose-masking-policies=0"] if flavour == "mysql" else []),
            "--databases",
            "--",
            *databases,
        ]
        self._control.run(
            self._service,
            ["sh", "-c", DUMP_SCRIPT, "sh", *command],
            deadline=deadline,
            environment={"MYSQL_PWD": self._operator.password},
            stdout=path,
        )

    def load(self, connection: Connection[Cursor], flavour: Flavour, path: Path, *, deadline: float) -> None:
        """Run the statements of the dump at `path`, within `deadline` seconds."""
        session = f"SET SESSION lock_wait_timeout = {TABLE_LOCK_SECONDS}, @held = GET_LOCK('{LOCK}', 5)"
        self._control.run(
            self._service,
            [
                *self._client(connection, flavour, PROGRAMS[flavour][1]),
                # The client takes no data for its own commands, and sends no statement twice.
                "--binary-mode",
                "--skip-reconnect",
                f"--init-command={session}",
            ],
            deadline=deadline,
            environment={"MYSQL_PWD": self._operator.password},
            stdin=path,
        )

    def _client(self, connection: Connection[Cursor], flavour: Flavour, program: str) -> list[str]:
        """Return the beginning of a command line that connects inside the container; it holds no secret."""
        ((port,),) = rows(connection, "SELECT @@port")
        return [
            program,
            "--no-defaults",
            "--protocol=TCP",
            "--host=127.0.0.1",
            f"--port={port}",
            f"--user={self._operator.user}",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            *(["--get-server-public-key"] if flavour == "mysql" else []),
        ]
