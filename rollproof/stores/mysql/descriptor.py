"""The profile and descriptor of MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from rollproof.collection import Json
from rollproof.profile.recognition import IN_VOLUME, Recognition, Statements
from rollproof.profile.sections import WatchedProfile
from rollproof.profile.store_descriptor import (
    Descriptor,
    Grants,
    KeyFields,
    Means,
    in_a_database,
)


class MysqlProfile(WatchedProfile):
    """MySQL or MariaDB; the server's version tells them apart."""

    kind: Literal["mysql"]
    databases: Annotated[tuple[str, ...], Field(min_length=1)]
    """Databases of the target."""


def _keys(schema: Json) -> KeyFields:
    """Return the primary key's columns, or else those of every unique index, and the first column."""
    indexes, columns = _fields(schema, "indexes"), _fields(schema, "columns")
    if not columns:
        return None
    unique = {
        name: [column["column_name"] for column in members if column["sub_part"] is None]
        for name, index in indexes.items()
        if not (members := list(index.values()))[0]["non_unique"]
    }
    primary = unique.get("PRIMARY", [])
    if primary and len(primary) == len(indexes["PRIMARY"]):
        return tuple(primary)
    # A row without a key is shown by its first column.
    first = [name for name, column in columns.items() if column["ordinal_position"] == 1]
    return tuple(dict.fromkeys([*(n for names in unique.values() for n in names if n is not None), *first]))


def _fields(schema: Json, name: str) -> Mapping[str, Any]:
    found = schema.get(name) if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


# The names of rights differ. A server skips a comment that begins with a later version, or another's mark.
_MYSQL, _MYSQL_8_0_16, _MYSQL_8_2 = "/*!80000", "/*!80016", "/*!80200"
_MARIADB, _MARIADB_11_3 = "/*M!100500", "/*M!110300"


def _grants(profile: MysqlProfile) -> Grants:
    """State the grants for both servers in all versions: the profile does not say which server it is."""
    reader, operator = (f"'{account.user}'@'%'" for account in (profile.reader, profile.operator))
    # In GRANT, _ and % of a database's name are wildcards.
    names = [name.replace("_", r"\_").replace("%", r"\%") for name in profile.databases]
    rights = (
        (_MYSQL, "PROCESS, RELOAD, REPLICATION CLIENT, BACKUP_ADMIN, SHOW_ROUTINE"),
        (_MYSQL, "FLUSH_TABLES, CONNECTION_ADMIN, SESSION_VARIABLES_ADMIN"),
        # A view that root made comes back in root's name, which takes this.
        (_MYSQL_8_0_16, "SYSTEM_USER"),
        (_MYSQL_8_2, "SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER"),
        (_MARIADB, "PROCESS, RELOAD, BINLOG MONITOR, CONNECTION ADMIN, SET USER"),
    )
    return Grants(
        reader=(
            "-- TRIGGER and EVENT: the server shows triggers and events only to who has them.",
            *(f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `{name}`.* TO {reader};" for name in names),
            f"{_MYSQL} GRANT SHOW_ROUTINE, PROCESS ON *.* TO {reader} */;",
            *(f"{_MARIADB_11_3} GRANT SHOW CREATE ROUTINE ON `{name}`.* TO {reader} */;" for name in names),
            f"{_MARIADB} GRANT PROCESS ON *.* TO {reader} */;",
        ),
        operator=(
            *(f"GRANT ALL ON `{name}`.* TO {operator};" for name in names),
            *(f"{servers} GRANT {these} ON *.* TO {operator} */;" for servers, these in rights),
        ),
    )


DESCRIPTOR = Descriptor(
    profile=MysqlProfile,
    least_risk="low",
    means=lambda _: Means.TRANSACTION,
    keys=_keys,
    wrong_place=in_a_database,
    reports_rights=True,
    has_format_marks=True,
    may_have_revisions=True,
    noun="tables",
    reader="rollproof.stores.mysql.reader:MysqlReader",
    grants=_grants,
    recognition=Recognition(
        name="mysql",
        images=("mysql", "mysql-server", "mariadb", "percona", "percona-server", "mysql-community-server"),
        ports=(3306,),
        variables=("MYSQL_ROOT_", "MARIADB_"),
        listed={"databases": ("MYSQL_DATABASE", "MARIADB_DATABASE")},
        logins=(
            ("root", "MYSQL_ROOT_PASSWORD"),
            ("root", "MARIADB_ROOT_PASSWORD"),
            ("$MYSQL_USER", "MYSQL_PASSWORD"),
            ("$MARIADB_USER", "MARIADB_PASSWORD"),
        ),
        statements=Statements(
            account="CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';\n"
            "ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';\n{grants}",
            client='MYSQL_PWD="${MYSQL_ROOT_PASSWORD:-${MARIADB_ROOT_PASSWORD:-'
            '$(cat "${MYSQL_ROOT_PASSWORD_FILE:-${MARIADB_ROOT_PASSWORD_FILE:-/dev/null}}")}}"'
            ' exec "$(command -v mariadb || command -v mysql)" --user=root',
            fresh=f"{IN_VOLUME}50-rollproof.sql.",
        ),
    ),
    keeper="rollproof.stores.mysql.keeper:MysqlKeeper",
    clients="rollproof.stores.mysql.keeper:MysqlClients",
)
