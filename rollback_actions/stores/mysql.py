"""MySQL and MariaDB, write side: a dump by the server's own program, put back by its own client.

Both run inside the store's container, so that they are of the server's version. What the dump holds is read
from the dump itself: its program has been seen to complain and still end with exit code 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.mysql import Flavour, connect, count_rows, quoted, rows, server, tables, translated
from fixtures.stores.profiles import MysqlProfile
from fixtures.stores.reach import Reach
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import mysql_grants, mysql_schema
from rollback_actions.stores.keeper import Kept, Restored
from rollback_actions.stores.mysql_dump import ERROR_PREFIX, Dump, read_dump
from rollback_actions.stores.mysql_floats import put_floats_back, write_floats
from rollback_actions.stores.package import Package, read_package, write_package

DUMP = "dump.sql"
FLOATS = "floats.sql"
PROGRAMS: dict[Flavour, tuple[str, str]] = {
    "mysql": ("mysqldump", "mysql"),
    "mariadb": ("mariadb-dump", "mariadb"),
}
# Appends what the dump program wrote to its standard error to the dump, as comments.
DUMP_SCRIPT = f"""
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
"$@" 2> "$errors"
code=$?
cat "$errors" >&2
sed 's/^/{ERROR_PREFIX.decode()}/' "$errors"
exit "$code"
"""
# Held by the session that restores, so that a second one finds a first that outlived its caller.
LOCK = "rollproof restore"
LOCK_SECONDS = 15
# A restore waits this long at most for a session that still uses a table.
TABLE_LOCK_SECONDS = 60


class Keeper:
    """The write side of MySQL or MariaDB. See `StoreKeeper`. `deadline` is in seconds, for each step."""

    kind = "mysql"

    def __init__(
        self,
        name: str,
        profile: MysqlProfile,
        endpoint: Endpoint,
        control: ContainerControl,
        *,
        deadline: float = 600.0,
    ) -> None:
        """Remember how to connect, and to run programs in the store's container."""
        self.name = name
        self._profile = profile
        self._databases = tuple(sorted(profile.databases))
        self._service = profile.address.service or profile.services[0]
        self._control = control
        self._deadline = deadline
        self._reach = Reach(name, endpoint, profile.operator, deadline)

    def back_up(self, folder: Path) -> Kept:
        """Dump the profile's databases as of one moment: tables, views, triggers, routines and events."""
        with self._connected() as (connection, flavour, version):
            before = mysql_schema.read_schema(connection, self._databases)
            definers = sorted(mysql_schema.definers(connection, self._databases))
            self._expect_privileges(connection, flavour, before, definers)
            names = tables(connection, self._databases, self._reach)
            floats = write_floats(connection, self._databases, folder / FLOATS)
            self._dump(connection, flavour, folder / DUMP)
            again = folder / f"{FLOATS}.again"
            write_floats(connection, self._databases, again)
            same_floats = again.read_bytes() == (folder / FLOATS).read_bytes()
            again.unlink()
            changed = mysql_schema.difference(before, mysql_schema.read_schema(connection, self._databases))
            if changed or not same_floats:
                raise self._failed(
                    "backup",
                    "tables that keep their definition, and FLOAT values, while they are dumped",
                    changed or "other values in FLOAT columns",
                    "stop the application or its migration, and take the backup again",
                )
            besides = mysql_schema.without_transactions(connection, self._databases)
        dump = read_dump(folder / DUMP)
        self._expect_whole(dump, {f"{database}.{table}" for database, table in names}, folder / DUMP)
        method = f"{PROGRAMS[flavour][0]} --single-transaction, with routines, triggers and events"
        if besides:
            method += f"; not of one moment, having no transactions: {', '.join(besides)}"
        return write_package(
            folder,
            kind=self.kind,
            method=method,
            records={f"{database}.{table}": dump.rows[f"{database}.{table}"] for database, table in names},
            details={
                "flavour": flavour,
                "server": version,
                "databases": list(self._databases),
                "schema": before,
                "definers": definers,
                "exact_floats": floats,
                "warnings": list(dump.errors),
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the profile's databases, make them again from the dump, and compare them with the backup."""
        package = read_package(folder, kind=self.kind)
        dump = read_dump(package.path(DUMP))
        with self._connected() as (connection, flavour, _):
            self._check(package, dump, flavour)
            self._expect_privileges(
                connection, flavour, package.details["schema"], package.details["definers"]
            )
            self._end_earlier_restore(connection)
            self._try_definers(connection, package.details["definers"])
            present = {
                f"{database}.{table}"
                for database, table in rows(
                    connection,
                    "SELECT table_schema, table_name FROM information_schema.tables"
                    " WHERE table_type = 'BASE TABLE' AND table_schema IN %s",
                    [self._databases],
                )
            }
            self._load(connection, flavour, package.path(DUMP))
        # A new connection: the first has been idle for as long as the load took.
        with self._connected() as (connection, _, _):
            put_floats_back(connection, package.path(FLOATS))
            self._verify(connection, package)
        later = sorted(present - set(package.records))
        return Restored(
            records=package.records,
            notes=tuple(f"dropped {name}, which came after the backup" for name in later),
        )

    @contextmanager
    def _connected(self) -> Iterator[tuple[Connection[Cursor], Flavour, str]]:
        with translated(self._reach), connect(self._reach) as connection:
            flavour, version = server(connection)
            yield connection, flavour, version

    def _expect_privileges(
        self,
        connection: Connection[Cursor],
        flavour: Flavour,
        schema: mysql_schema.Schema,
        definers: Sequence[str],
    ) -> None:
        """See that the account can dump, and make again, `schema` with the objects of `definers`."""
        grants = mysql_grants.read_grants(connection, flavour)
        ((user,),) = rows(connection, "SELECT CURRENT_USER()")
        others = set(definers) - {user}
        lacking = mysql_grants.missing(grants, self._databases)
        if others and not mysql_grants.may_define_for_others(grants):
            lacking.append(f"SET_ANY_DEFINER (MariaDB: SET USER) for {', '.join(sorted(others))}")
        code = any(name.startswith(("trigger ", "function ")) for name in schema)
        if code and not mysql_grants.may_make_code(connection, grants):
            lacking.append("SUPER, or log_bin_trust_function_creators = 1, for triggers and functions")
        if lacking:
            raise self._failed(
                "privileges of the operator",
                "those to dump and to make again all of the databases",
                f"none for {', '.join(lacking)}",
                "grant them: what an account may not see would be missing from the dump without a word",
            )
        history = mysql_schema.without_versions(connection, self._databases)
        if flavour == "mariadb" and history:
            raise self._failed(
                "system-versioned tables",
                "none, since a dump does not hold their history",
                ", ".join(history),
                "keep this store by a snapshot of its volume",
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
            f"--user={self._profile.operator.user}",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1G",
            *(["--get-server-public-key"] if flavour == "mysql" else []),
        ]

    def _dump(self, connection: Connection[Cursor], flavour: Flavour, path: Path) -> None:
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
            # Numbers of transactions and masking policies (new in 9.7) are the server's, not the databases'.
            *(["--set-gtid-purged=OFF", "--loose-masking-policies=0"] if flavour == "mysql" else []),
            "--databases",
            "--",
            *self._databases,
        ]
        self._control.run(
            self._service,
            ["sh", "-c", DUMP_SCRIPT, "sh", *command],
            deadline=self._deadline,
            environment={"MYSQL_PWD": self._profile.operator.password},
            stdout=path,
        )

    def _load(self, connection: Connection[Cursor], flavour: Flavour, path: Path) -> None:
        session = f"SET SESSION lock_wait_timeout = {TABLE_LOCK_SECONDS}, @held = GET_LOCK('{LOCK}', 5)"
        self._control.run(
            self._service,
            [
                *self._client(connection, flavour, PROGRAMS[flavour][1]),
                # Nothing in the data is a command of the client; nor is it sent twice.
                "--binary-mode",
                "--skip-reconnect",
                f"--init-command={session}",
            ],
            deadline=self._deadline,
            environment={"MYSQL_PWD": self._profile.operator.password},
            stdin=path,
        )

    def _expect_whole(self, dump: Dump, names: set[str], path: Path) -> None:
        complaints = [line for line in dump.errors if "warning" not in line.lower()]
        absent = sorted(names - dump.rows.keys())
        for observed in (
            complaints and f"a complaint of the dump program: {' | '.join(complaints)}",
            not dump.complete and "none: it was cut",
            absent and f"no table {', '.join(absent)}",
            set(dump.databases) != set(self._databases) and f"databases {', '.join(dump.databases)}",
        ):
            if observed:
                raise ActionFailed(
                    what=f"dump of store {self.name}",
                    expected="every table, no complaint, and '-- Dump completed' at the end",
                    observed=observed,
                    source=str(path),
                    hint="see the privileges of the operator and the free space on the host",
                )

    def _check(self, package: Package, dump: Dump, flavour: Flavour) -> None:
        self._expect_whole(dump, set(package.records), package.path(DUMP))
        for expected, observed in (
            (
                f"databases {', '.join(self._databases)}",
                f"databases {', '.join(package.details['databases'])}",
            ),
            (f"a dump for {flavour}", f"a dump for {package.details['flavour']}"),
        ):
            if expected != observed:
                raise self._failed(
                    "restore",
                    expected,
                    observed,
                    "this backup belongs to another target, or the profile has changed since",
                )

    def _end_earlier_restore(self, connection: Connection[Cursor]) -> None:
        """End a session that still restores although its caller is gone: it would undo this one."""
        for _ in range(2):
            ((held,),) = rows(connection, "SELECT GET_LOCK(%s, %s)", [LOCK, LOCK_SECONDS])
            if held == 1:
                rows(connection, "DO RELEASE_LOCK(%s)", [LOCK])
                return
            ((other,),) = rows(connection, "SELECT IS_USED_LOCK(%s)", [LOCK])
            if other is not None:
                rows(connection, f"KILL {int(other)}")
        raise self._failed(
            "restore",
            "no other restore of this server",
            "one that does not end",
            "see SHOW PROCESSLIST for a session of the operator, and end it",
        )

    def _try_definers(self, connection: Connection[Cursor], definers: Sequence[str]) -> None:
        """Make a view in the name of each definer, as the dump will; in a database that it then drops.

        Whether that is allowed depends on the definer's own privileges, which the operator may not see.
        """
        database = quoted(self._databases[0])
        probe = f"{database}.{quoted('rollproof probe')}"
        if definers:
            rows(connection, f"CREATE DATABASE IF NOT EXISTS {database}")
        for definer in definers:
            user, at, host = definer.rpartition("@")
            account = f"{quoted(user)}@{quoted(host)}" if at else quoted(host)
            try:
                rows(connection, f"CREATE OR REPLACE DEFINER = {account} VIEW {probe} AS SELECT 1")
            except pymysql.err.MySQLError as error:
                raise self._failed(
                    "privileges of the operator",
                    f"those to make objects in the name of {definer}",
                    str(error.args[-1]),
                    "nothing was changed; grant what is missing (with a definer such as root: SYSTEM_USER)",
                ) from None
            rows(connection, f"DROP VIEW {probe}")

    def _verify(self, connection: Connection[Cursor], package: Package) -> None:
        schema = mysql_schema.read_schema(connection, self._databases)
        names = tables(connection, self._databases, self._reach)
        counts = count_rows(connection, names, self._reach.start())
        observed = mysql_schema.difference(package.details["schema"], schema)
        for name, records in package.records.items():
            if not observed and counts.get(name) != records:
                observed = f"{counts.get(name)} rows of {name} instead of {records}"
        if observed:
            raise self._failed(
                "restore",
                "what the backup holds",
                observed,
                "the store is neither old nor new: stop everything that writes to it, and restore again",
            )

    def _failed(self, what: str, expected: str, observed: str, hint: str) -> ActionFailed:
        return ActionFailed(
            what=f"{what} of store {self.name}",
            expected=expected,
            observed=observed,
            source=self._reach.address,
            hint=hint,
        )
