"""MySQL and MariaDB, write side: a dump by the server's own program, put back by its own client.

Both run inside the store's container, so that their version matches the server's. The dump's content is read
from the dump itself: its program has been seen to complain and still end with exit code 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pymysql

from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.mysql.connection import Mysql, Session, count_rows, quoted, rows, tables
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.dump import (
    LOCK,
    PROGRAMS,
    TRAILER,
    Dump,
    Programs,
    expect_taken,
    expect_whole,
    read_dump,
)
from rollproof.stores.mysql.floats import put_floats_back, write_floats
from rollproof.stores.mysql.privileges import ALL, Privileges, privileges_of
from rollproof.stores.mysql.rows import insert, prepare
from rollproof.stores.mysql.schema import (
    Schemas,
    absent,
    broken_views,
    definers,
    difference,
    read_schemas,
    tables_of,
    without_transactions,
)
from rollproof.stores.mysql.table import read_columns
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.reach import Countdown
from rollproof.stores.writable import Writable
from rollproof.system.files import create_file, sha256_of

DUMP = "dump.sql"
FLOATS = "floats.sql"
LOCK_SECONDS = 15
# Any one of these lets an account make objects that run in another's name.
FOREIGN_DEFINER = frozenset({ALL, "SUPER", "SET_ANY_DEFINER", "SET_USER_ID", "SET USER"})


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
        """Back up; what cannot be kept is left out of a `safe` copy, and refused in a backup."""
        countdown = self._whole.start()
        with self._connected(countdown) as connection:
            gone = absent(connection, self._databases) if safe else []
            broken = broken_views(connection, self._databases) if safe else {}
            databases = [name for name in self._databases if name not in gone]
            before = read_schemas(connection, databases, self._whole)
            lacking_privileges = self._lacking(connection, before)
            if lacking_privileges and not safe:
                raise lacking_privileges
            names = list(tables_of(before))
            floats, inexact = write_floats(connection, before, folder / FLOATS)
            if inexact and not safe:
                raise self._failed(
                    "backup",
                    expected="beside FLOAT columns a primary key without FLOAT, and no UPDATE trigger",
                    observed=f"none for {', '.join(inexact)}",
                    hint="keep this store by a snapshot of its volume, or make the column DOUBLE",
                )
            dump = self._dumped(connection, folder / DUMP, databases, names, broken, countdown)
            if not safe:
                expect_taken(dump, self.name, _packet(connection), folder / DUMP)
            again = folder / f"{FLOATS}.again"
            write_floats(connection, before, again)
            same_floats = sha256_of(again) == sha256_of(folder / FLOATS)
            again.unlink()
            changed = difference(before, read_schemas(connection, databases, self._whole))
            if changed or not same_floats:
                raise self._failed(
                    "backup",
                    expected="tables that keep their definition, and FLOAT values, while they are dumped",
                    observed=changed or "other values in FLOAT columns",
                    hint="stop the application or its migration, and take the backup again",
                )
            besides = without_transactions(connection, before)
        left_out = [
            *(f"database {name}, which is not there" for name in gone),
            *(f"view {'.'.join(name)} ({reason})" for name, reason in broken.items()),
            *([f"what the account may not see ({lacking_privileges.summary})"] if lacking_privileges else []),
            *(f"exact FLOAT values of {name}" for name in inexact),
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
                "exact_floats": floats,
            },
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the profile's databases, make them again from the dump, and compare them with the backup."""
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        gone = package.details["absent"]
        there = [name for name in self._databases if name not in gone]
        dump = read_dump(package.path(DUMP))
        with self._connected(countdown) as connection:
            expect_whole(dump, self.name, set(package.records), there, package.path(DUMP))
            self._expect_same(package, "databases", package.details["databases"], list(self._databases))
            self._expect_same(package, "flavour", package.details["product"], connection.flavour)
            expect_taken(dump, self.name, _packet(connection), package.path(DUMP))
            server = {"product": connection.flavour, "server": connection.version}
            self._expect_readable(package, server)
            if lacking_privileges := self._lacking(connection, package.details["schema"]):
                raise lacking_privileges
            self._end_earlier_restore(connection)
            self._try_definers(connection, definers(package.details["schema"]))
            seen = [name for name in self._databases if name not in absent(connection, self._databases)]
            present = tables(connection, seen, self._whole) if seen else []
            if gone:  # a foreign key of another database must not prevent DROP
                rows(connection, "SET SESSION foreign_key_checks = 0")
            for database in gone:
                rows(connection, f"DROP DATABASE IF EXISTS {quoted(database)}")
            self._programs.load(connection, package.path(DUMP), deadline=countdown.left())
        # A new connection: the first has been idle for as long as the load took.
        with self._connected(countdown) as connection:
            put_floats_back(connection, package.path(FLOATS))
            schemas = read_schemas(connection, there, self._whole)
            observed = difference(package.details["schema"], schemas)
            counts = count_rows(connection, list(tables_of(schemas)), countdown)
        for name, records in package.records.items():
            if not observed and counts.get(name) != records:
                observed = f"{counts.get(name)} rows of {name} instead of {records}"
        if observed:
            raise self._not_restored(observed)
        later = sorted(set(present) - set(package.records))
        return Restored(
            records=package.records,
            notes=tuple(f"dropped {name}, which came after the backup" for name in later),
        )

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Insert each row; its triggers fire, and foreign keys are not checked."""
        database, _, table = collection.partition(".")
        with Mysql(self._reach) as client:
            with client.asked() as connection:
                columns = {column.name: column for column in read_columns(connection, database, table)}
                prepare(connection, self._reach.deadline / 2)

            def write(record: ExportedRecord) -> None:
                row = cast("Mapping[str, Json]", record.content)
                if unknown := row.keys() - columns.keys():
                    observed = f"no column {', '.join(sorted(unknown))}"
                    raise self._reach.failed(observed, expected=f"the columns of {collection} of the export")
                with client.asked() as connection:
                    insert(connection, collection, columns, row, replace=overwrite)

            yield Put(write)

    @contextmanager
    def _connected(self, countdown: Countdown) -> Iterator[Session]:
        """Connect for the steps of one backup or restore, whose deadline is that of them all together."""
        with Mysql(self._whole, countdown) as client, client.asked() as connection:
            yield connection

    def _lacking(self, connection: Session, schemas: Schemas) -> ActionFailed | None:
        """Return the error of an account that cannot dump, and create again, `schemas`; None if it can."""
        held = privileges_of(connection)
        ((user,),) = rows(connection, "SELECT CURRENT_USER()")
        others = set(definers(schemas)) - {user}
        lacking = held.missing(self._databases)
        if others and not held.everywhere(FOREIGN_DEFINER):
            lacking.append(f"SET_ANY_DEFINER (MariaDB: SET USER) for {', '.join(sorted(others))}")
        code = any(name.startswith(("trigger ", "function ")) for name in schemas)
        if code and not _may_make_code(connection, held):
            lacking.append("SUPER, or log_bin_trust_function_creators = 1, for triggers and functions")
        if lacking:
            return self._failed(
                "privileges of the operator",
                expected="those to dump and to re-create all of the databases",
                observed=f"none for {', '.join(lacking)}",
                hint="grant them: the dump would silently lack what an account may not see",
            )
        history = [name for name, one in schemas.items() if one.get("table_type") == "SYSTEM VERSIONED"]
        if history:
            return self._failed(
                "system-versioned tables",
                expected="none, since a dump lacks their history",
                observed=", ".join(history),
                hint="keep this store by a snapshot of its volume",
            )
        return None

    def _dumped(
        self,
        connection: Session,
        path: Path,
        databases: Sequence[str],
        names: Sequence[str],
        broken: Collection[tuple[str, str]],
        countdown: Countdown,
    ) -> Dump:
        """Dump all but the `broken` views."""
        if databases:
            self._programs.dump(connection, path, databases, broken, deadline=countdown.left())
        else:
            with create_file(path) as stream:
                stream.write(f"{TRAILER.decode()}\n".encode())
        dump = read_dump(path)
        expect_whole(dump, self.name, set(names), databases, path)
        return dump

    def _end_earlier_restore(self, connection: Session) -> None:
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

    def _try_definers(self, connection: Session, definers: Sequence[str]) -> None:
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


def _packet(connection: Session) -> int:
    ((most,),) = rows(connection, "SELECT @@GLOBAL.max_allowed_packet")
    return int(most)


def _may_make_code(connection: Session, held: Privileges) -> bool:
    """Return whether the account may create triggers and functions: with a binary log few may."""
    ((logs, trusts),) = rows(connection, "SELECT @@log_bin, @@log_bin_trust_function_creators")
    return not logs or bool(trusts) or held.everywhere(frozenset({ALL, "SUPER"}))
