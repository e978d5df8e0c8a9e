"""MySQL and MariaDB, write side: a dump by the server's own program, put back by its own client.

Both run inside the store's container, so that their version matches the server's. The dump's content is read
from the dump itself: its program has been seen to complain and still end with exit code 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pymysql

from rollproof.collection import Json
from rollproof.profile.store_descriptor import Means
from rollproof.stores.client_name import NAME
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.dumps import DumpKeeper
from rollproof.stores.keeper import (
    ConnectedClient,
    Operated,
    Put,
    Restored,
    Writable,
    blind,
    host_of,
    strangers,
)
from rollproof.stores.mysql.connection import (
    Mysql,
    MysqlSession,
    count_rows,
    databases_seen,
    quoted,
    rows,
    tables,
)
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.dump import DUMP_SCRIPT, PROGRAMS, TRAILER, Dump, read_dump
from rollproof.stores.mysql.privileges import ALL, privileges_of
from rollproof.stores.mysql.rows import delete, insert, prepare, put_floats_back, write_floats
from rollproof.stores.mysql.schema import (
    broken_views,
    definers,
    difference,
    read_schemas,
    tables_of,
    without_transactions,
)
from rollproof.stores.mysql.table import read_columns, read_key
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.reach import Countdown
from rollproof.stores.tables import Schemas
from rollproof.system.files import create_file, sha256_of

DUMP = "dump.sql"
FLOATS = "floats.sql"
# Held by the restoring session, so that a second restore finds a first that outlived its caller.
LOCK = "rollproof restore"
LOCK_SECONDS = 15
# A restore waits at most this long for a session that still uses a table.
TABLE_LOCK_SECONDS = 60
# Any one of these lets an account make objects that run in another's name.
FOREIGN_DEFINER = frozenset({ALL, "SUPER", "SET_ANY_DEFINER", "SET_USER_ID", "SET USER"})


class MysqlKeeper(DumpKeeper):
    """The write side of MySQL or MariaDB. See `StoreKeeper`."""

    _profile: MysqlProfile

    def __init__(self, writable: Writable[MysqlProfile]) -> None:
        """Remember how to connect, and to run programs in the store's container."""
        super().__init__(writable)
        self._databases = tuple(sorted(writable.profile.databases))

    def back_up(self, folder: Path) -> Kept:
        """Dump the profile's databases as of one moment: tables, views, triggers, routines and events."""
        return self._back_up(folder, safe=False)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; leaves out missing databases, and views that the server cannot describe."""
        return self._back_up(folder, safe=True)

    def _back_up(self, folder: Path, *, safe: bool) -> Kept:
        """Back up; what cannot be kept is left out of a `safe` copy, and refused in a backup."""
        countdown = self._whole.start()
        with self._connected(countdown) as connection:
            seen = databases_seen(connection)
            gone = [name for name in self._databases if safe and name not in seen]
            databases = [name for name in self._databases if name not in gone]
            broken = broken_views(connection, self._databases) if safe else {}
            before = read_schemas(connection, databases, self._whole)
            names = list(tables_of(before))
            inexact = write_floats(connection, before, folder / FLOATS)
            lacking = [
                *self._lacking(connection, before),
                *(f"exact FLOAT values of {name}" for name in inexact),
            ]
            if not safe:
                self._expect_nothing_lacking(lacking)
            dump = self._dump(connection, folder / DUMP, databases, names, broken, countdown)
            again = folder / f"{FLOATS}.again"
            write_floats(connection, before, again)
            same_floats = sha256_of(again) == sha256_of(folder / FLOATS)
            again.unlink()
            changed = difference(before, read_schemas(connection, databases, self._whole))
            self._expect_settled(changed or ("" if same_floats else "other values in FLOAT columns"))
            besides = without_transactions(connection, before)
        left_out = [
            *(f"database {name}, which is not there" for name in gone),
            *(f"view {'.'.join(name)} ({reason})" for name, reason in broken.items()),
            *lacking,
        ]
        method = f"{PROGRAMS[connection.flavour][0]} --single-transaction, with routines, triggers and events"
        if besides:
            method += f"; not of one moment: no transactions in {', '.join(besides)}"
        if left_out:
            method += f"; left out: {', '.join(left_out)}"
        for view in broken:
            before.pop(f"view {'.'.join(view)}", None)
        return write_package(
            folder,
            kind=self.kind,
            method=method,
            means=Means.PARTIAL if besides or left_out else Means.TRANSACTION,
            records={name: dump.rows[name] for name in names},
            details={
                "product": connection.flavour,
                "server": connection.version,
                "databases": list(self._databases),
                "absent": gone,
                "schema": before,
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the profile's databases, make them again from the dump, and compare them with the backup."""
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        gone, kept = package.details["absent"], package.details["schema"]
        with self._connected(countdown) as connection:
            self._expect_same(package, "databases", package.details["databases"], list(self._databases))
            self._expect_same(package, "flavour", package.details["product"], connection.flavour)
            server = {"product": connection.flavour, "server": connection.version}
            self._expect_readable(package, server)
            self._expect_nothing_lacking(self._lacking(connection, kept))
            self._end_earlier_restore(connection)
            self._try_definers(connection, definers(kept))
            there = sorted(databases_seen(connection).intersection(self._databases))
            present = tables(connection, there, self._whole) if there else []
            if gone:  # a foreign key of another database must not prevent DROP
                rows(connection, "SET SESSION foreign_key_checks = 0")
            for database in gone:
                rows(connection, f"DROP DATABASE IF EXISTS {quoted(database)}")
            self._load(connection, package.path(DUMP), countdown)
        # A new connection: the first has been idle for as long as the load took.
        with self._connected(countdown) as connection:
            put_floats_back(connection, package.path(FLOATS))
            restored = [name for name in self._databases if name not in gone]
            schemas = read_schemas(connection, restored, self._whole)
            observed = difference(kept, schemas)
            counts = count_rows(connection, list(tables_of(schemas)))
        return self._restored(package, observed, counts, present)

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Insert or delete each row; its triggers fire, and foreign keys are neither checked nor followed."""
        database, _, table = collection.partition(".")
        with Mysql(self._reach) as client:
            with client.asked() as connection:
                columns = {column.name: column for column in read_columns(connection, database, table)}
                key = read_key(connection, database, table, [*columns.values()]).columns
                prepare(connection, self._reach.deadline / 2)

            left_out = set[str]()

            def write(record: ExportedRecord) -> None:
                row = cast("Mapping[str, Json]", record.content)
                left_out.update(row.keys() - columns.keys())
                row = {name: value for name, value in row.items() if name in columns}
                with client.asked() as connection:
                    insert(connection, collection, columns, row, replace=overwrite)

            def remove(record: ExportedRecord) -> None:
                with client.asked() as connection:
                    delete(connection, collection, key, cast("Mapping[str, Json]", record.content))

            yield Put(write, remove=remove if key else None, left_out=left_out)

    @contextmanager
    def _connected(self, countdown: Countdown) -> Iterator[MysqlSession]:
        """Connect for the steps of one backup or restore, whose deadline is that of them all together."""
        with Mysql(self._whole, countdown) as client, client.asked() as connection:
            yield connection

    def _lacking(self, connection: MysqlSession, schemas: Schemas) -> list[str]:
        """Return what the account lacks to dump, and create again, all of `schemas`."""
        held = privileges_of(connection)
        lacking = held.missing(self._databases)
        ((user, logs, trusts),) = rows(
            connection, "SELECT CURRENT_USER(), @@log_bin, @@log_bin_trust_function_creators"
        )
        others = set(definers(schemas)) - {user}
        if others and not held.everywhere(FOREIGN_DEFINER):
            lacking.append(f"SET_ANY_DEFINER (MariaDB: SET USER) for {', '.join(sorted(others))}")
        # With a binary log, few may create triggers and functions.
        code = any(name.startswith(("trigger ", "function ")) for name in schemas)
        if code and logs and not trusts and not held.everywhere(frozenset({ALL, "SUPER"})):
            lacking.append("SUPER, or log_bin_trust_function_creators = 1, for triggers and functions")
        versioned = [name for name, one in schemas.items() if one.get("table_type") == "SYSTEM VERSIONED"]
        return lacking + [f"the history of {name}, which no dump has" for name in versioned]

    def _expect_nothing_lacking(self, lacking: Sequence[str]) -> None:
        if lacking:
            raise self._failed(
                "dump",
                expected="all of the databases in it, and an operator who may create them again",
                observed=f"without {', '.join(lacking)}",
                hint="grant what the operator lacks; a table with FLOAT needs a primary key of other types,"
                " and no UPDATE trigger; what no dump holds is kept by a snapshot of the volume",
            )

    def _dump(
        self,
        connection: MysqlSession,
        path: Path,
        databases: Sequence[str],
        names: Sequence[str],
        broken: Collection[tuple[str, str]],
        countdown: Countdown,
    ) -> Dump:
        """Dump all but the `broken` views; the dump must hold the tables `names`, and no complaint."""
        if databases:
            # Numbers of transactions and masking policies (new in 9.7) are the server's, not the databases'.
            own = ("--set-gtid-purged=OFF", "--loose-masking-policies=0")
            options = (
                *("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"),
                *("--no-tablespaces", "--add-drop-database"),
                *(f"--ignore-table={database}.{view}" for database, view in broken),
                *(own if connection.flavour == "mysql" else ()),
                *("--databases", "--", *databases),
            )
            script = ("sh", "-c", DUMP_SCRIPT, "sh", PROGRAMS[connection.flavour][0])
            self._run(connection, script, options, countdown, stdout=path)
        else:
            with create_file(path) as stream:
                stream.write(f"{TRAILER.decode()}\n".encode())
        dump = read_dump(path)
        absent = sorted(set(names) - dump.rows.keys())
        if dump.complaints or not dump.complete or absent:
            raise self._failed(
                "dump",
                expected="every table, no complaint, and '-- Dump completed' at the end",
                observed=" | ".join(dump.complaints)
                or (f"no table {', '.join(absent)}" if dump.complete else "none: it was cut"),
                hint="see the privileges of the operator and the free space on the host",
            )
        return dump

    def _load(self, connection: MysqlSession, path: Path, countdown: Countdown) -> None:
        """Run the statements of the dump at `path`."""
        session = f"SET SESSION lock_wait_timeout = {TABLE_LOCK_SECONDS}, @held = GET_LOCK('{LOCK}', 5)"
        # The client takes no data for its own commands, and sends no statement twice.
        options = ("--binary-mode", "--skip-reconnect", f"--init-command={session}")
        self._run(connection, PROGRAMS[connection.flavour][1:], options, countdown, stdin=path)

    def _run(
        self,
        connection: MysqlSession,
        program: Sequence[str],
        options: Sequence[str],
        countdown: Countdown,
        **stream: Path,
    ) -> None:
        """Run a program as the operator inside the store's container; its command line holds no secret."""
        ((port,),) = rows(connection, "SELECT @@port")
        operator = self._profile.operator
        self._control.run(
            self._profile.address.service or self._profile.services[0],
            [
                *program,
                *("--no-defaults", "--protocol=TCP", "--host=127.0.0.1", f"--port={port}"),
                *(f"--user={operator.user}", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"),
                *(["--get-server-public-key"] if connection.flavour == "mysql" else []),
                *options,
            ],
            deadline=countdown.left(),
            environment={"MYSQL_PWD": operator.password},
            **stream,
        )

    def _end_earlier_restore(self, connection: MysqlSession) -> None:
        """End a session that still restores although its caller is gone: it would undo this restore."""
        ((earlier,),) = rows(connection, "SELECT IS_USED_LOCK(%s)", [LOCK])
        if earlier is not None:
            rows(connection, f"KILL {int(earlier)}")
        ((ended,),) = rows(connection, "SELECT GET_LOCK(%s, %s)", [LOCK, LOCK_SECONDS])
        if ended != 1:
            raise self._failed(
                "restore",
                expected="no other restore of this server",
                observed="one that does not end",
                hint="see SHOW PROCESSLIST for a session of the operator, and end it",
            )
        rows(connection, "DO RELEASE_LOCK(%s)", [LOCK])

    def _try_definers(self, connection: MysqlSession, definers: Sequence[str]) -> None:
        """Create a view in each definer's name, as the dump will, in a database that the dump then drops.

        Permission depends on the definer's own privileges, which the operator may not see.
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
                    expected=f"those to make objects in the name of {definer}",
                    observed=str(error.args[-1]),
                    hint="nothing was changed; grant what is missing "
                    "(with a definer such as root: SYSTEM_USER)",
                ) from None
            rows(connection, f"DROP VIEW {probe}")


# Threads of the server itself, and connections whose account is not known yet.
_NOBODY = frozenset({"system user", "event_scheduler", "unauthenticated user"})
# Replicas: they only read.
_READING = frozenset({"Binlog Dump", "Binlog Dump GTID"})
_PROGRAMS = (
    "SELECT PROCESSLIST_ID, ATTR_VALUE FROM performance_schema.session_connect_attrs"
    " WHERE ATTR_NAME = 'program_name'"
)
# Any one of these shows an account the connections of others.
_SEEING_OTHERS = frozenset({ALL, "PROCESS"})


class MysqlClients:
    """The clients of a MySQL or MariaDB server. See `StoreClients`."""

    def __init__(self, operated: Operated[MysqlProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._client = Mysql(operated.reach)

    def others(self) -> list[ConnectedClient]:
        """Return the connections of others."""
        with self._client.asked() as connection:
            # Without it the server shows the account its own connections alone.
            if not privileges_of(connection).everywhere(_SEEING_OTHERS):
                # Once it is granted, it holds for connections that open later.
                self._client.close()
                raise blind(self._client.reach, "the privilege PROCESS", "an account without it")
            found = rows(connection, "SHOW PROCESSLIST")
            names = _names(connection)
            ((own,),) = rows(connection, "SELECT CONNECTION_ID()")
        clients = {
            number: ConnectedClient(str(user), host_of(str(host)), names.get(number, ""))
            for number, user, host, _, command, *_ in found
            if user not in _NOBODY and command not in _READING
        }
        user = self._client.reach.account.user
        for number, one in clients.items():
            # A program of ours in the container has no name; nor has a connection, where the server keeps
            # none: whoever has our account, at our host, passes for ours then.
            if one.account == user and (one.inside or (own not in names and one == clients.get(own))):
                clients[number] = replace(one, name=NAME)
        return strangers(self._operated, [*clients.values()])

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._client.close()


def _names(connection: MysqlSession) -> dict[int, str]:
    """Return the names of the clients' programs, by number; none where the server keeps none."""
    try:
        return {int(number): str(name) for number, name in rows(connection, _PROGRAMS)}
    except pymysql.err.MySQLError:  # not this account's to see
        return {}
