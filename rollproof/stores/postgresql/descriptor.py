"""The profile and descriptor of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from rollproof.collection import Json
from rollproof.profile.data_formats import Format, Marks
from rollproof.profile.recognition import IN_VOLUME, Recognition, Statements
from rollproof.profile.sections import WatchedProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, KeyFields, Means, in_a_database


class PostgresqlProfile(WatchedProfile):
    """PostgreSQL, one database of a server; tables are named `SCHEMA.TABLE`."""

    kind: Literal["postgresql"]
    databases: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    """The database of the target. A second database of the server is a store of its own."""


def _keys(schema: Json) -> KeyFields:
    """Return the primary key's columns, or else those of every unique index, and the first column."""
    found: Mapping[str, Any] = schema if isinstance(schema, dict) else {}
    if not (columns := found.get("columns")):
        return None
    unique = [index for index in found.get("indexes", {}).values() if index["unique"]]
    for index in unique:
        if index["primary"]:
            return tuple(index["columns"])
    # A row without a key is shown by its first column.
    first = [name for name, column in columns.items() if column["position"] == 1]
    return tuple(dict.fromkeys([*(name for index in unique for name in index["columns"] if name), *first]))


def _format_of(marks: Marks) -> Format | None:
    """Return the major version: the minor versions of one read each other's data."""
    found = re.match(r"\d+", str(marks.get("server", "")))
    return (int(found[0]),) if found else None


def _grants(profile: PostgresqlProfile) -> Grants:
    reader, operator = (f'"{account.user}"' for account in (profile.reader, profile.operator))
    return Grants(
        reader=(
            f"GRANT pg_read_all_data, pg_monitor TO {reader};",
            "-- It reads past row security; without this, tables that have it are no answer.",
            f"ALTER ROLE {reader} BYPASSRLS;",
        ),
        operator=(
            "-- A restore drops the database, and creates it again with its owners and extensions.",
            f"ALTER ROLE {operator} SUPERUSER;",
        ),
    )


DESCRIPTOR = Descriptor(
    profile=PostgresqlProfile,
    least_risk="low",
    means=lambda _: Means.TRANSACTION,
    keys=_keys,
    wrong_place=in_a_database,
    reports_rights=True,
    has_format_marks=True,
    may_have_revisions=True,
    noun="tables",
    reader="rollproof.stores.postgresql.reader:PostgresqlReader",
    grants=_grants,
    recognition=Recognition(
        name="postgresql",
        images=(
            *("postgres", "postgresql", "pgvector", "postgis", "timescaledb", "timescaledb-ha"),
            *("paradedb", "pgvecto-rs", "vchord-postgres", "age"),
        ),
        ports=(5432,),
        variables=("POSTGRES_INITDB_", "POSTGRESQL_POSTGRES_"),
        # Without a name, the image calls the database as its user.
        listed={"databases": ("POSTGRES_DB", "POSTGRESQL_DATABASE", "POSTGRES_USER")},
        logins=(("$POSTGRES_USER", "POSTGRES_PASSWORD"), ("postgres", "POSTGRES_PASSWORD")),
        statements=Statements(
            account="SELECT 'CREATE ROLE \"{user}\"' WHERE NOT EXISTS"
            " (SELECT FROM pg_roles WHERE rolname = '{user}') \\gexec\n"
            "ALTER ROLE \"{user}\" LOGIN PASSWORD '{password}';\n{grants}",
            client="exec psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1"
            ' --username="${POSTGRES_USER:-postgres}" --dbname=postgres',
            fresh=f"{IN_VOLUME}50-rollproof.sql.",
        ),
    ),
    keeper="rollproof.stores.postgresql.keeper:PostgresqlKeeper",
    format_of=_format_of,
    clients="rollproof.stores.postgresql.keeper:PostgresqlClients",
)
