"""PostgreSQL, write side: a dump by ``pg_dump`` as of one moment, put back by ``pg_restore``.

Both run inside the store's container, so that their version matches the server's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rollproof.profile.store_descriptor import Means
from rollproof.stores.client_name import NAME
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.postgresql.beside import rights
from rollproof.stores.postgresql.client import (
    MAINTENANCE,
    Postgresql,
    Session,
    literal,
    marks_of,
    quoted,
    quoted_table,
    rows,
    run,
)
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.postgresql.schema import count_rows, difference, read_schemas, tables
from rollproof.stores.postgresql.table import read_table
from rollproof.stores.reach import Countdown
from rollproof.stores.writable import Writable

DUMP = "dump"
_THIS = "(SELECT oid FROM pg_database WHERE datname = current_database())"
# Roles that own something in the database, or have rights there.
_ROLES = f"""
SELECT DISTINCT r.rolname FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
AND (d.dbid = {_THIS} OR (d.classid = 'pg_database'::regclass AND d.objid = {_THIS})) ORDER BY 1
"""
_EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension AS e
JOIN pg_namespace AS n ON n.oid = e.extnamespace ORDER BY e.oid
"""
# What keeps a database from being dropped or would be lost with it, and what the backup needs. A dump names
# no version of an extension: another one than the server's default is made before, where a new database has
# the schema.
_IN_THE_WAY = """
SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = %(database)s
UNION ALL SELECT 'subscription ' || subname FROM pg_subscription AS s
  JOIN pg_database AS d ON d.oid = s.subdbid WHERE d.datname = %(database)s
UNION ALL SELECT 'active replication slot ' || slot_name FROM pg_replication_slots
  WHERE database = %(database)s AND active
UNION ALL SELECT 'no role ' || name FROM unnest(%(roles)s::text[]) AS name
  WHERE name NOT IN (SELECT rolname FROM pg_roles)
UNION ALL SELECT 'no extension ' || name || ' ' || version || ' in ' || place
  FROM unnest(%(names)s::text[], %(versions)s::text[], %(places)s::text[]) AS one (name, version, place)
  WHERE (name, version) NOT IN (SELECT e.name, e.version FROM pg_available_extension_versions AS e)
  OR (place NOT IN ('public', 'pg_catalog')
    AND (name, version) NOT IN (SELECT e.name, e.default_version FROM pg_available_extensions AS e))
"""
_SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE database = %s ORDER BY 1"
_USUAL = "SELECT 1 FROM pg_available_extensions WHERE name = %s AND default_version = %s"


class Keeper(StoreKeeper):
    """The write side of a database of PostgreSQL. See `StoreKeeper`."""

    _profile: PostgresqlProfile

    def __init__(self, writable: Writable[PostgresqlProfile]) -> None:
        """Remember how to connect, and to run programs in the store's container."""
        super().__init__(writable)
        (self._database,) = writable.profile.databases
        self._service = writable.profile.address.service or writable.profile.services[0]

    def back_up(self, folder: Path) -> Kept:
        """Dump the database as of one moment, and read the dump again to its end."""
        countdown = self._whole.start()
        with self._connected(self._database, countdown) as session:
            self._expect("account of the operator", rights(session).lacks, "grant it: see init")
            with session.transaction():
                ((snapshot,),) = rows(session, "SELECT pg_export_snapshot()")
                before = read_schemas(session)
                records = count_rows(session, tables(session))
                options = (f"--snapshot={snapshot}", "--format=custom", "--compress=1", *self._way(session))
                self._program(countdown, "pg_dump", *options, stdout=folder / DUMP)
            self._program(countdown, "pg_restore", "--file=/dev/null", stdin=folder / DUMP)
            changed = difference(before, read_schemas(session))
            again = "stop the application or its migration, and take the backup again"
            self._expect("definitions while they were dumped", [changed] if changed else [], again)
            details = {
                "schema": before,
                "roles": [name for (name,) in rows(session, _ROLES)],
                "extensions": rows(session, _EXTENSIONS),
            }
            return self._package(
                session, folder, "pg_dump of one snapshot", Means.TRANSACTION, records, details
            )

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; a database that is not there is kept as absent."""
        with self._connected(MAINTENANCE, self._whole.start()) as session:
            if not self._is_there(session):
                method = f"left out: database {self._database}, which is not there"
                return self._package(session, folder, method, Means.PARTIAL, {}, {})
        return self.back_up(folder)

    def restore(self, folder: Path) -> Restored:
        """Drop the database, make it again from the dump, and compare it with the backup."""
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        self._expect_same(package, "databases", package.details["databases"], [self._database])
        with self._connected(MAINTENANCE, countdown) as session:
            self._expect_restorable(session, package)
            notes = [
                f"dropped replication slot {name}: its reader has to begin again"
                for (name,) in rows(session, _SLOTS, [self._database])
            ]
            notes += self._later(session, package, countdown)
            run(session, f"DROP DATABASE IF EXISTS {quoted(self._database)} WITH (FORCE)")
            if "schema" not in package.details:
                return Restored({}, tuple(notes))
            dump = package.path(DUMP)
            # No table has this name: of the dump this takes the database alone, with its settings.
            alone = ("--create", "--schema-only", "--table=no such table", *self._way(session))
            self._program(countdown, "pg_restore", "--exit-on-error", *alone, stdin=dump)
        with self._connected(self._database, countdown) as session:
            for name, version, place in package.details["extensions"]:
                if not rows(session, _USUAL, [name, version]):
                    made = f"{quoted(name)} SCHEMA {quoted(place)} VERSION {literal(version)} CASCADE"
                    run(session, f"CREATE EXTENSION {made}")
            self._program(countdown, "pg_restore", "--exit-on-error", *self._way(session), stdin=dump)
            # Without statistics the first queries of users would read whole tables.
            run(session, "ANALYZE")
            observed = difference(package.details["schema"], read_schemas(session))
            counts = count_rows(session, tables(session))
        for name, records in package.records.items():
            if not observed and counts.get(name) != records:
                observed = f"{counts.get(name)} rows of {name} instead of {records}"
        if observed:
            raise self._not_restored(observed)
        return Restored(package.records, tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Insert each row; neither triggers nor foreign keys see it."""
        with Postgresql(self._reach, self._database) as client:
            with client.asked() as session:
                table = read_table(session, collection)

            def write(record: ExportedRecord) -> None:
                row = cast("Mapping[str, str | None]", record.content)
                values = {name: "NULL" if value is None else literal(value) for name, value in row.items()}
                with client.asked() as session, session.transaction():
                    run(session, "SET LOCAL session_replication_role = replica")
                    if overwrite and table and table.key:
                        key = ", ".join(values[name] for name in table.key)
                        run(session, f"DELETE {table.rows} WHERE ROW({table.order}) = ROW({key})")
                    into = f"{quoted_table(collection)} ({', '.join(map(quoted, values))})"
                    every = ", ".join(values.values())
                    run(session, f"INSERT INTO {into} OVERRIDING SYSTEM VALUE VALUES ({every})")

            yield Put(write)

    @contextmanager
    def _connected(self, database: str, countdown: Countdown) -> Iterator[Session]:
        """Connect for the steps of one backup or restore, whose deadline is that of them all together."""
        with Postgresql(self._whole, database, countdown) as client, client.asked() as session:
            yield session

    def _package(
        self,
        session: Session,
        folder: Path,
        method: str,
        means: Means,
        records: Mapping[str, int],
        details: Mapping[str, Any],
    ) -> Kept:
        details = {**marks_of(session), "databases": [self._database], **details}
        return write_package(
            folder, kind=self.kind, method=method, means=means, records=records, details=details
        )

    def _is_there(self, session: Session) -> bool:
        return bool(rows(session, "SELECT 1 FROM pg_database WHERE datname = %s", [self._database]))

    def _later(self, session: Session, package: Package, countdown: Countdown) -> list[str]:
        """Return a note of each table that is there, and not in the backup."""
        if not self._is_there(session):
            return []
        with self._connected(self._database, countdown) as inside:
            later = sorted(set(tables(inside)) - set(package.records))
        return [f"dropped {name}, which came after the backup" for name in later]

    def _expect_restorable(self, session: Session, package: Package) -> None:
        """Refuse, before anything is dropped, what would make the restore end half way."""
        self._expect_readable(package, marks_of(session))
        self._expect("account of the operator", rights(session).lacks, "grant it: see init")
        kept = package.details.get("extensions", [])
        values = {"database": self._database, "roles": package.details.get("roles", [])}
        values |= {name: [one[at] for one in kept] for at, name in enumerate(("names", "versions", "places"))}
        hint = "end what is in the way, create what is missing: an extension comes with the server's image"
        self._expect("server", [name for (name,) in rows(session, _IN_THE_WAY, values)], hint)

    def _expect(self, what: str, found: Sequence[str], hint: str) -> None:
        """Raise `ActionFailed` if anything was `found` that must not be."""
        if found:
            expected = "nothing that makes a backup or restore incomplete"
            raise self._failed(what, expected=expected, observed=", ".join(found), hint=hint)

    def _way(self, session: Session) -> tuple[str, ...]:
        """Return the options by which a program in the container connects to the session's database."""
        ((port, database),) = rows(session, "SELECT current_setting('port'), current_database()")
        # Any other form of a name might be taken for a connection's options.
        name = database.replace("\\", "\\\\").replace("'", "\\'")
        way = f"host=127.0.0.1 port={port} dbname='{name}' application_name={NAME}"
        return f"--dbname={way}", f"--username={self._profile.operator.user}", "--no-password"

    def _program(self, countdown: Countdown, program: str, *options: str, **files: Path) -> None:
        self._control.run(
            self._service,
            [program, *options],
            deadline=countdown.left(),
            environment={"PGPASSWORD": self._profile.operator.password},
            **files,
        )
