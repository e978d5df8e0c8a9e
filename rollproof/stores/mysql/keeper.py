"""MySQL and MariaDB, write side: a dump by the server's own program, put back by its own client.

Both run inside the store's container, so that their version matches the server's. The dump's content is read
from the dump itself: its program has been seen to complain and still end with exit code 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.mysql import objects as mysql_schema
from rollproof.stores.mysql.columns import read_columns
from rollproof.stores.mysql.connection import (
    Flavour,
    connect,
    count_rows,
    quoted,
    rows,
    server,
    tables,
    translated,
)
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.dump import TRAILER, Dump, expect_taken, expect_whole, read_dump
from rollproof.stores.mysql.floats import put_floats_back, write_floats
from rollproof.stores.mysql.privileges import ALL, Privileges, privileges_of
from rollproof.stores.mysql.programs import LOCK, PROGRAMS, Programs
from rollproof.stores.mysql.rows import insert, prepare
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.reach import Countdown
from rollproof.stores.writable import Writable
from rollproof.system.files import create_file, sha256_of

DUMP = "dump.sql"
FLOATS = "floats.sql"
LOCK_SECONDS = 15
# Any one of these lets an account make objects that run in another's name.
FOREIGN_DEFINER = frozenset({ALL, "SUPER", "SET_ANY_DEFINER", "SET_USER_ID", "SET USER"})


def unfinished(package: Package) -> tuple[str, str] | None:
    """Return the expected and the observed end of a sealed backup's dump if it was truncated, else None."""
    if read_dump(package.path(DUMP)).complete:
        return None
    return "a dump with its trailer, '-- Dump completed'", "none: it was cut"


class Keeper(StoreKeeper):
    """The write side of MySQL or MariaDB. See `StoreKeeper`."""

    _profile: MysqlProfile

    def __init__(self, writable: Writable[MysqlProfile]) -> None:
        """Remember how to connect, and to run programs in the store's container."""
        super().__init__(writable)
        self._databases = tuple(sorted(writable.profile.databases))
        self._programs = Programs(writable.profile, writable.control)

    def back_up(self, folder: Path) -> Kept:
        """Dump the profile's databases as of one moment: tables, views, triggers, routines and events."""
        return self._back_up(folder, safe=False)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; leaves out missing databases, and views that the server cannot describe."""
        return self._back_up(folder, safe=True)

    def _back_up(self, folder: Path, *, safe: bool) -> Kept:
        """Back up; what cannot be kept is left out of a `safe` copy, and refused elsewhere."""
        countdown = self._whole.start()
        left_out: list[str] = []
        absent: list[str] = []
        broken: dict[tuple[str, str], str] = {}
        with self._connected() as (connection, flavour, version):
            if safe:
                absent = mysql_schema.absent(connection, self._databases)
                broken = mysql_schema.broken_views(connection, self._databases)
                left_out += [f"database {name}, which is not there" for name in absent]
                left_out += [f"view {'.'.join(name)} ({reason})" for name, reason in broken.items()]
            databases = [name for name in self._databases if name not in absent]
            before = mysql_schema.read_schema(connection, self._databases)
            definers = sorted(mysql_schema.definers(connection, self._databases))
            try:
                self._expect_privileges(connection, flavour, before, definers)
            except ActionFailed as problem:
                if not safe:
                    raise
                left_out.append(f"what this hides ({problem.summary})")
            names = tables(connection, databases, self._whole) if databases else []
            floats = write_floats(connection, self._databases, folder / FLOATS, left_out if safe else None)
            dump = self._dumped(connection, flavour, folder / DUMP, databases, names, broken, countdown)
            if not safe:
                expect_taken(dump, self.name, _packet(connection), folder / DUMP)
            again = folder / f"{FLOATS}.again"
            write_floats(connection, self._databases, again, [] if safe else None)
            same_floats = sha256_of(again) == sha256_of(folder / FLOATS)
            again.unlink()
            changed = mysql_schema.difference(before, mysql_schema.read_schema(connection, self._databases))
            if changed or not same_floats:
                raise self._failed(
                    "backup",
                    expected="tables that keep their definition, and FLOAT values, while they are dumped",
                    observed=changed or "other values in FLOAT columns",
                    hint="stop the application or its migration, and take the backup again",
                )
            besides = mysql_schema.without_transactions(connection, self._databases)
        method = f"{PROGRAMS[flavour][0]} --single-transaction, with routines, triggers and events"
        if besides:
            method += f"; of several moments, since these have no transactions: {', '.join(besides)}"
        if left_out:
            method += f"; left out: {', '.join(left_out)}"
        for view in broken:
            before.pop(f"view {'.'.join(view)}", None)
        return write_package(
            folder,
            kind=self.kind,
            method=method,
            means=Means.PARTIAL if besides or left_out else Means.TRANSACTION,
            records={f"{database}.{table}": dump.rows[f"{database}.{table}"] for database, table in names},
            details={
                "product": flavour,
                "server": version,
                "databases": list(self._databases),
                "absent": absent,
                "schema": before,
                "definers": definers,
                "exact_floats": floats,
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the profile's databases, make them again from the dump, and compare them with the backup."""
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        absent = package.details["absent"]
        dump = read_dump(package.path(DUMP))
        with self._connected() as (connection, flavour, version):
            self._check(package, dump, flavour)
            expect_taken(dump, self.name, _packet(connection), package.path(DUMP))
            self._expect_readable(package, {"product": flavour, "server": version})
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
            if absent:  # a reference from another database must not keep it
                rows(connection, "SET SESSION foreign_key_checks = 0")
            for database in absent:
                rows(connection, f"DROP DATABASE IF EXISTS {quoted(database)}")
            self._programs.load(connection, flavour, package.path(DUMP), deadline=countdown.left())
        # A new connection: the first has been idle for as long as the load took.
        with self._connected(countdown.left()) as (connection, _, _):
            put_floats_back(connection, package.path(FLOATS), countdown)
            self._verify(connection, package, countdown)
        later = sorted(present - set(package.records))
        return Restored(
            records=package.records,
            notes=tuple(f"dropped {name}, which came after the backup" for name in later),
        )

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Insert each row; its triggers fire, and foreign keys are not checked."""
        database, _, table = collection.partition(".")
        with closing(connect(self._reach)) as connection:
            with translated(self._reach):
                columns = {column.name: column for column in read_columns(connection, database, table)}
                prepare(connection, self._reach.deadline / 2)

            def write(record: ExportedRecord) -> None:
                row = cast("Mapping[str, Json]", record.replay)
                if unknown := row.keys() - columns.keys():
                    observed = f"no column {', '.join(sorted(unknown))}"
                    raise self._reach.failed(observed, expected=f"the columns of {collection} of the export")
                with translated(self._reach):
                    insert(connection, collection, columns, row, replace=overwrite)

            yield Put(write)

    @contextmanager
    def _connected(self, seconds: float | None = None) -> Iterator[tuple[Connection[Cursor], Flavour, str]]:
        """Connect; no statement takes more than `seconds`, by default those of a whole backup or restore."""
        reach = self._whole if seconds is None else replace(self._whole, deadline=seconds)
        with translated(reach), connect(reach) as connection:
            flavour, version = server(connection)
            yield connection, flavour, version

    def _expect_privileges(
        self,
        connection: Connection[Cursor],
        flavour: Flavour,
        schema: mysql_schema.Schema,
        definers: Sequence[str],
    ) -> None:
        """Check that the account can dump, and create again, `schema` with the objects of `definers`."""
        held = privileges_of(connection, flavour)
        ((user,),) = rows(connection, "SELECT CURRENT_USER()")
        others = set(definers) - {user}
        lacking = held.missing(self._databases)
        if others and not held.everywhere(FOREIGN_DEFINER):
            lacking.append(f"SET_ANY_DEFINER (MariaDB: SET USER) for {', '.join(sorted(others))}")
        code = any(name.startswith(("trigger ", "function ")) for name in schema)
        if code and not _may_make_code(connection, held):
            lacking.append("SUPER, or log_bin_trust_function_creators = 1, for triggers and functions")
        if lacking:
            raise self._failed(
                "privileges of the operator",
                expected="those to dump and to make again all of the databases",
                observed=f"none for {', '.join(lacking)}",
                hint="grant them: the dump would silently lack what an account may not see",
            )
        history = mysql_schema.without_versions(connection, self._databases)
        if flavour == "mariadb" and history:
            raise self._failed(
                "system-versioned tables",
                expected="none, since a dump lacks their history",
                observed=", ".join(history),
                hint="keep this store by a snapshot of its volume",
            )

    def _dumped(
        self,
        connection: Connection[Cursor],
        flavour: Flavour,
        path: Path,
        databases: Sequence[str],
        names: Sequence[tuple[str, str]],
        broken: Collection[tuple[str, str]],
        countdown: Countdown,
    ) -> Dump:
        """Dump all but the `broken` views."""
        if databases:
            self._programs.dump(connection, flavour, path, databases, broken, deadline=countdown.left())
        else:
            with create_file(path) as stream:
                stream.write(f"{TRAILER.decode()}\n".encode())
        dump = read_dump(path)
        expect_whole(dump, self.name, {f"{database}.{table}" for database, table in names}, databases, path)
        return dump

    def _check(self, package: Package, dump: Dump, flavour: Flavour) -> None:
        there = [name for name in self._databases if name not in package.details["absent"]]
        expect_whole(dump, self.name, set(package.records), there, package.path(DUMP))
        self._expect_same(package, "databases", package.details["databases"], list(self._databases))
        self._expect_same(package, "flavour", package.details["product"], flavour)

    def _end_earlier_restore(self, connection: Connection[Cursor]) -> None:
        """End a session that still restores although its caller is gone: it would undo this restore."""
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
            expected="no other restore of this server",
            observed="one that does not end",
            hint="see SHOW PROCESSLIST for a session of the operator, and end it",
        )

    def _try_definers(self, connection: Connection[Cursor], definers: Sequence[str]) -> None:
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

    def _verify(self, connection: Connection[Cursor], package: Package, countdown: Countdown) -> None:
        absent = package.details["absent"]
        schema = mysql_schema.read_schema(connection, self._databases)
        there = [name for name in self._databases if name not in absent]
        names = tables(connection, there, self._whole) if there else []
        counts = count_rows(connection, names, countdown)
        observed = mysql_schema.difference(package.details["schema"], schema)
        for name, records in package.records.items():
            if not observed and counts.get(name) != records:
                observed = f"{counts.get(name)} rows of {name} instead of {records}"
        if observed:
            raise self._not_restored(observed)


def _packet(connection: Connection[Cursor]) -> int:
    ((most,),) = rows(connection, "SELECT @@GLOBAL.max_allowed_packet")
    return int(most)


def _may_make_code(connection: Connection[Cursor], held: Privileges) -> bool:
    """Return True if the account may create triggers and functions, which a binary log forbids most."""
    ((logs, trusts),) = rows(connection, "SELECT @@log_bin, @@log_bin_trust_function_creators")
    return not logs or bool(trusts) or held.everywhere(frozenset({ALL, "SUPER"}))
