"""Whether an account may see, dump, drop and make again all of a database.

A dump leaves out without a word what its account may not see: without TRIGGER there are no triggers in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.stores.mysql import Flavour, rows

# Grants, each as a pattern of databases ("*" for all) and the privileges on them.
Grants = Sequence[tuple[str, frozenset[str]]]
ALL = "ALL PRIVILEGES"
NEEDED = frozenset(
    {
        "SELECT",
        "INSERT",
        "CREATE",
        "DROP",
        "ALTER",
        "INDEX",
        "REFERENCES",
        "LOCK TABLES",
        "CREATE VIEW",
        "SHOW VIEW",
        "CREATE ROUTINE",
        "ALTER ROUTINE",
        "EXECUTE",
        "EVENT",
        "TRIGGER",
    }
)
# Any one of these lets an account make objects that run in another's name.
FOREIGN_DEFINER = frozenset({ALL, "SUPER", "SET_ANY_DEFINER", "SET_USER_ID", "SET USER"})
_GRANT = re.compile(r"GRANT (?P<privileges>.+) ON (?P<database>\*|`(?:[^`]|``)+`)\.\* TO ")


def read_grants(connection: Connection[Cursor], flavour: Flavour) -> Grants:
    """Return what the account was granted, with what its active roles were."""
    query = "SHOW GRANTS"
    if flavour == "mysql":
        ((roles,),) = rows(connection, "SELECT CURRENT_ROLE()")
        if roles != "NONE":
            query = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    found = []
    # Never shown to anyone: MariaDB puts the hash of the password beside the grants.
    for (text,) in rows(connection, query):
        if match := _GRANT.match(text):
            pattern = match["database"].strip("`").replace("``", "`")
            found.append((pattern, frozenset(re.split(r",\s*", match["privileges"]))))
    return found


def missing(grants: Grants, databases: Iterable[str]) -> list[str]:
    """Return what the account lacks, each as ``TRIGGER on imagedb``; nothing when it lacks nothing."""
    lacking = []
    for database in databases:
        held = {one for pattern, privileges in grants if _covers(pattern, database) for one in privileges}
        if ALL not in held:
            lacking += [f"{privilege} on {database}" for privilege in sorted(NEEDED - held)]
    return lacking


def may_define_for_others(grants: Grants) -> bool:
    """Tell whether the account may make objects that run in another's name."""
    return _everywhere(grants, FOREIGN_DEFINER)


def may_see_others(grants: Grants) -> bool:
    """Tell whether the account is shown the connections of other accounts."""
    return _everywhere(grants, frozenset({ALL, "PROCESS"}))


def may_make_code(connection: Connection[Cursor], grants: Grants) -> bool:
    """Tell whether the account may make triggers and functions, which a binary log forbids most."""
    ((logs, trusts),) = rows(connection, "SELECT @@log_bin, @@log_bin_trust_function_creators")
    return not logs or bool(trusts) or _everywhere(grants, frozenset({ALL, "SUPER"}))


def _everywhere(grants: Grants, any_of: frozenset[str]) -> bool:
    return any(pattern == "*" and any_of & privileges for pattern, privileges in grants)


def _covers(pattern: str, database: str) -> bool:
    if pattern == "*":
        return True
    # As LIKE has them: % and _ stand for others, a backslash takes that from them.
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(token) or re.escape(token[-1]) for token in tokens)
    return re.fullmatch(expression, database, re.DOTALL | re.IGNORECASE) is not None
