"""The signs of MySQL and MariaDB in a compose project, and the statements that create their accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollproof.stores.mysql.descriptor import MysqlProfile, grants_of
from rollproof.stores.reach import Reach
from rollproof.stores.recognising import Clues, Creation, Holder, Recognition, exchanged, password

_PROTOCOL = 10
_HEADER = 4


def _settings(clues: Clues) -> dict[str, Any]:
    name = clues.says("MYSQL_DATABASE", "MARIADB_DATABASE")
    return {"databases": [name]} if name else {}


def _greet(reach: Reach) -> str:
    """Return the version in the handshake that the server begins with."""
    said = exchanged(reach)
    if len(said) <= _HEADER or said[_HEADER] != _PROTOCOL:
        return ""
    version = said[_HEADER + 1 :].partition(b"\0")[0].decode("ascii", errors="replace")
    return f"{'MariaDB' if 'mariadb' in version.lower() else 'MySQL'} {version}"


def _lines(profile: MysqlProfile, holders: Mapping[str, Holder]) -> Iterator[str]:
    for role, holder in holders.items():
        account = f"'{holder.user}'@'%'"
        yield f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password(role)}';"
        yield f"ALTER USER {account} IDENTIFIED BY '{password(role)}';"
        for servers, line in grants_of(profile, role):
            yield f"{servers} {line.removesuffix(';')} */;" if servers else line


def _create(profile: MysqlProfile, holders: Mapping[str, Holder]) -> Creation:
    return Creation(
        lines=tuple(_lines(profile, holders)),
        client=(
            'MYSQL_PWD="${MYSQL_ROOT_PASSWORD:-${MARIADB_ROOT_PASSWORD:-'
            '$(cat "${MYSQL_ROOT_PASSWORD_FILE:-${MARIADB_ROOT_PASSWORD_FILE:-/dev/null}}")}}"'
            ' exec "$(command -v mariadb || command -v mysql)" --user=root'
        ),
        fresh=(
            "Accounts are in the server's own volume. For a fresh server, which has an empty one: "
            "mount a file of these statements, with the passwords in it, at /docker-entrypoint-"
            "initdb.d/50-rollproof.sql."
        ),
    )


RECOGNITION = Recognition(
    name="mysql",
    images=("mysql", "mysql-server", "mariadb", "percona", "percona-server", "mysql-community-server"),
    ports=(3306,),
    variables=("MYSQL_ROOT_", "MARIADB_"),
    settings=_settings,
    logins=(
        ("root", "MYSQL_ROOT_PASSWORD"),
        ("root", "MARIADB_ROOT_PASSWORD"),
        ("$MYSQL_USER", "MYSQL_PASSWORD"),
        ("$MARIADB_USER", "MARIADB_PASSWORD"),
    ),
    greet=_greet,
    holdings="rollproof.stores.mysql.view:holdings",
    create=_create,
)
