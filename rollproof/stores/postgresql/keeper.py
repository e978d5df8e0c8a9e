"""PostgreSQL, write side: a dump by ``pg_dump`` as of one moment, put back by ``pg_restore``.

Both run inside the store's container, so that their version matches the server's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rollproof.profile.store_descriptor import Means
from rollproof.stores.client_name import NAME
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.dumps import DumpKeeper
from rollproof.stores.keeper import ConnectedClient, Operated, Put, Restored, Writable, strangers
from rollproof.stores.package import Kept, read_package, write_package
from rollproof.stores.postgresql import schema
from rollproof.stores.postgresql.client import (
    Postgresql,
    PostgresqlSession,
    literal,
    maintenance_of,
    marks_of,
    quoted,
    quoted_table,
    rows,
    run,
)
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.postgresql.table import PostgresqlTable, read_table
from rollproof.stores.postgresql.unlisted import rights
from rollproof.stores.reach import Countdown

DUMP = "dump"
_THERE = "SELECT FROM pg_database WHERE datname = %s"
_THIS = "(SELECT oid FROM pg_database WHERE datname = current_database())"
# Roles that own something in the database, or have rights there.
_ROLES = f"""
SELECT DISTINCT r.rolname FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
AND (d.dbid = {_THIS} OR (d.classid = 'pg_database'::regclass AND d.objid = {_THIS})) ORDER BY 1
"""
# What the backup needs. What else would stop a restore keeps the server from dropping the database.
_MISSING = """
SELECT 'role ' || name FROM unnest(%s::text[]) AS name WHERE name NOT IN (SELECT rolname FROM pg_roles)
UNION ALL SELECT 'extension ' || name FROM unnest(%s::text[]) AS name
WHERE name NOT IN (SELECT name FROM pg_available_extensions)
"""
# A dump names neither version nor owner of an extension: it would come back in the server's default version,
# as the operator's own, and no migration by the application's account could update it.
_VERSION = """
SELECT r.rolname FROM pg_available_extension_versions AS v
LEFT JOIN pg_roles AS r ON r.rolname = %s AND (v.trusted OR NOT v.superuser)
  AND has_database_privilege(r.oid, current_database(), 'CREATE')
  AND has_schema_privilege(r.oid, 'public', 'CREATE')
WHERE v.name = %s AND v.version = %s
"""
# The sequences that number a table's rows, or those of the table that it is a partition of, and the columns.
_NUMBERED = """
SELECT format('%%I.%%I', n.nspname, c.relname), a.attname FROM (
  SELECT objid AS sequence, refobjid AS place, refobjsubid AS column FROM pg_depend
  WHERE classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
  UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_attrdef AS f
  JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
) AS one JOIN pg_sequence AS s ON s.seqrelid = one.sequence AND s.seqincrement > 0 AND NOT s.seqcycle
JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = one.place AND a.attnum = one.column
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
WHERE one.place IN (to_regclass(%(table)s), pg_partition_root(to_regclass(%(table)s)))
"""


class PostgresqlKeeper(DumpKeeper):
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
                before = schema.read_schemas(session)
                records = schema.count_rows(session, schema.tables(session))
                options = (f"--snapshot={snapshot}", "--format=custom", "--compress=1", *self._way(session))
                self._program(countdown, "pg_dump", *options, stdout=folder / DUMP)
            self._program(countdown, "pg_restore", "--file=/dev/null", stdin=folder / DUMP)
            self._expect_settled(schema.difference(before, schema.read_schemas(session)))
            roles = [name for (name,) in rows(session, _ROLES)]
            method = "pg_dump of one snapshot"
            return self._kept(session, folder, Means.TRANSACTION, method, records, schema=before, roles=roles)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; a database that is not there is kept as absent."""
        with self._connected(maintenance_of(self._database), self._whole.start()) as session:
            if not rows(session, _THERE, [self._database]):
                method = f"left out: database {self._database}, which is not there"
                return self._kept(session, folder, Means.PARTIAL, method, {})
        return self.back_up(folder)

    def restore(self, folder: Path) -> Restored:
        """Drop the database, make it again from the dump, and compare it with the backup."""
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        self._expect_same(package, "databases", package.details["databases"], [self._database])
        with self._connected(maintenance_of(self._database), countdown) as session:
            # Refused before anything is dropped: what would make the restore end half way.
            self._expect_readable(package, marks_of(session))
            self._expect("account of the operator", rights(session).lacks, "grant it: see init")
            kept = package.details.get("schema")
            needed = [package.details.get("roles", []), [*schema.extensions(kept or {})]]
            missing = [name for (name,) in rows(session, _MISSING, needed)]
            self._expect("server", missing, "create it: an extension comes with the server's image")
            present = list[str]()
            if rows(session, _THERE, [self._database]):
                with self._connected(self._database, countdown) as inside:
                    present = schema.tables(inside)
            run(session, f"DROP DATABASE IF EXISTS {quoted(self._database)} WITH (FORCE)")
            if kept is None:
                return self._restored(package, None, {}, present)
            dump = package.path(DUMP)
            # No table has this name: of the dump this takes the database alone, with its settings.
            alone = ("--create", "--schema-only", "--table=no such table", *self._way(session))
            self._program(countdown, "pg_restore", "--exit-on-error", *alone, stdin=dump)
        with self._connected(self._database, countdown) as session:
            for name, one in schema.extensions(kept).items():
                place, version = one["schema"], one["version"]
                found = rows(session, _VERSION, [one["owner"], name, version])
                if found and place == "public":  # a new database has no other schema
                    made = f"{quoted(name)} SCHEMA public VERSION {literal(version)} CASCADE"
                    with session.transaction():
                        if owner := found[0][0]:
                            run(session, f"SET LOCAL ROLE {quoted(owner)}")
                        run(session, f"CREATE EXTENSION IF NOT EXISTS {made}")
            self._program(countdown, "pg_restore", "--exit-on-error", *self._way(session), stdin=dump)
            # Without statistics the first queries of users would read whole tables.
            run(session, "ANALYZE")
            differs = schema.difference(kept, schema.read_schemas(session))
            counts = schema.count_rows(session, schema.tables(session))
        return self._restored(package, differs, counts, present)

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Insert or delete each row, unseen by triggers and foreign keys; sequences go on behind."""
        highest, left_out = dict[str, int](), set[str]()
        with Postgresql(self._reach, self._database) as client:
            with client.asked() as session:
                table = read_table(session, collection)
                known = frozenset(table.stored if table else ())
                numbered = rows(session, _NUMBERED, {"table": quoted_table(collection)})

            def write(record: ExportedRecord) -> None:
                row = cast("Mapping[str, str | None]", record.content)
                left_out.update(row.keys() - known)
                row = {name: value for name, value in row.items() if name in known}
                values = {name: "NULL" if value is None else literal(value) for name, value in row.items()}
                with client.asked() as session, session.transaction():
                    run(session, "SET LOCAL session_replication_role = replica")
                    if collection == schema.LARGE_OBJECTS:
                        _put_large_object(session, values, overwrite=overwrite)
                        return
                    if overwrite and table and table.key:
                        _delete(session, table, row)
                    into = f"{quoted_table(collection)} ({', '.join(map(quoted, values))})"
                    every = ", ".join(values.values())
                    run(session, f"INSERT INTO {into} OVERRIDING SYSTEM VALUE VALUES ({every})")
                for name in {name for _, name in numbered} & row.keys():
                    highest[name] = max(int(row[name] or 0), highest.get(name, 0))

            def remove(record: ExportedRecord) -> None:
                with client.asked() as session, session.transaction():
                    run(session, "SET LOCAL session_replication_role = replica")
                    if table is not None:
                        _delete(session, table, cast("Mapping[str, str | None]", record.content))

            try:
                removable = table is not None and table.key and collection != schema.LARGE_OBJECTS
                yield Put(write, remove=remove if removable else None, left_out=left_out)
            finally:
                for sequence, name in numbered:
                    with client.asked() as session:
                        number = highest.get(name, 0)
                        moved = f"SELECT setval({literal(sequence)}, {number}) FROM {sequence}"
                        run(session, f"{moved} WHERE {number} > last_value - (NOT is_called)::int")

    @contextmanager
    def _connected(self, database: str, countdown: Countdown) -> Iterator[PostgresqlSession]:
        """Connect for the steps of one backup or restore, whose deadline is that of them all together."""
        with Postgresql(self._whole, database, countdown) as client, client.asked() as session:
            yield session

    def _kept(
        self,
        session: PostgresqlSession,
        folder: Path,
        means: Means,
        method: str,
        records: Mapping[str, int],
        **more: object,
    ) -> Kept:
        details = {**marks_of(session), "databases": [self._database], **more}
        return write_package(
            folder, kind=self.kind, method=method, means=means, records=records, details=details
        )

    def _expect(self, what: str, found: Sequence[str], hint: str) -> None:
        """Raise `ActionFailed` if anything was `found` that must not be."""
        if found:
            expected = "nothing that makes a backup or restore incomplete"
            raise self._failed(what, expected=expected, observed=", ".join(found), hint=hint)

    def _way(self, session: PostgresqlSession) -> tuple[str, ...]:
        """Return the options by which a program in the container connects to the session's database."""
        ((port, database),) = rows(session, "SELECT current_setting('port'), current_database()")
        way = f"host=127.0.0.1 port={port} dbname='{database}' application_name={NAME}"
        return f"--dbname={way}", f"--username={self._profile.operator.user}", "--no-password"

    def _program(self, countdown: Countdown, program: str, *options: str, **files: Path) -> None:
        self._control.run(
            self._service,
            [program, *options],
            deadline=countdown.left(),
            environment={"PGPASSWORD": self._profile.operator.password},
            **files,
        )


def _delete(session: PostgresqlSession, table: PostgresqlTable, row: Mapping[str, str | None]) -> None:
    """Delete the row with the key of `row`."""
    key = ", ".join(literal(str(row[name])) for name in table.key)
    run(session, f"DELETE {table.rows} WHERE ROW({table.order}) = ROW({key})")


def _put_large_object(session: PostgresqlSession, values: Mapping[str, str], *, overwrite: bool) -> None:
    """Make a large object of literals of its number, owner and bytes; `overwrite` replaces that of now."""
    number = f"{values['oid']}::oid"
    if overwrite:
        run(session, f"SELECT lo_unlink(oid) FROM {schema.LARGE_OBJECTS} WHERE oid = {number}")
    run(session, f"SELECT lo_from_bytea({number}, {values['bytes']})")
    statement = f"format('ALTER LARGE OBJECT %s OWNER TO %I', {number}, {values['owner']})"
    ((alter,),) = rows(session, f"SELECT {statement}")
    run(session, alter)


# Clients of the database, whatever they do, and this session itself; no replicas, which only read.
_CLIENTS = """
SELECT usename, coalesce(host(client_addr), ''), application_name FROM pg_stat_activity
WHERE backend_type = 'client backend' AND (datname = %s OR pid = pg_backend_pid())
"""


class PostgresqlClients:
    """The clients of one database of a server. See `StoreClients`."""

    def __init__(self, operated: Operated[PostgresqlProfile]) -> None:
        """Remember how to connect; the first question connects, and outlives a restore of the database."""
        self._operated = operated
        (database,) = operated.profile.databases
        self._client = Postgresql(operated.reach, maintenance_of(database))

    def others(self) -> list[ConnectedClient]:
        """Return the connections of others, which the operator sees: a restore needs a superuser."""
        with self._client.asked() as session:
            found = rows(session, _CLIENTS, self._operated.profile.databases)
        return strangers(self._operated, [ConnectedClient(*map(str, one)) for one in found])

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._client.close()
