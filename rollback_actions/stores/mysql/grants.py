"""The privileges of an account to see, dump, drop and create again all of a database.

A dump silently leaves out objects that its account may not see: without TRIGGER it has no triggers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.stores.mysql.privileges import ALL, NEEDED, privileges_of
from fixtures.stores.mysql.view import Flavour, rows

# Grants, each as a pattern of databases ("*" for all) and the privileges on them.
Grants = Sequence[tuple[str, frozenset[str]]]
# Any one of these lets an account make objects that run in another's name.
FOREIGN_DEFINER = frozenset({ALL, "SUPER", "SET_ANY_DEFINER", "SET_USER_ID", "SET USER"})


def read_grants(connection: Connection[Cursor], flavour: Flavour) -> Grants:
    """Return the privileges of the account, including those of its active roles."""
    return privileges_of(connection, flavour).granted


def missing(grants: Grants, databases: Iterable[str]) -> list[str]:
    """Return the account's missing privileges, each as ``TRIGGER on imagedb``."""
    lacking = []
    for database in databases:
        held = {one for pattern, privileges in grants if _covers(pattern, database) for one in privileges}
        if ALL not in held:
            lacking += [f"{privilege} on {database}" for privilege in sorted(NEEDED - held)]
    return lacking


def may_define_for_others(grants: Grants) -> bool:
    """Return True if the account may create objects that run in another's name."""
    return _everywhere(grants, FOREIGN_DEFINER)


def may_see_others(grants: Grants) -> bool:
    """Return True if the account sees the connections of other accounts."""
    return _everywhere(grants, frozenset({ALL, "PROCESS"}))


def may_make_code(connection: Connection[Cursor], grants: Grants) -> bool:
    """Return True if the account may create triggers and functions, which a binary log forbids most."""
    ((logs, trusts),) = rows(connection, "SELECT @@log_bin, @@log_bin_trust_function_creators")
    return not logs or bool(trusts) or _everywhere(grants, frozenset({ALL, "SUPER"}))


def _everywhere(grants: Grants, any_of: frozenset[str]) -> bool:
    return any(pattern == "*" and any_of & privileges for pattern, privileges in grants)


def _covers(pattern: str, database: str) -> bool:
    if pattern == "*":
        return True
    # As in LIKE: % and _ are wildcards, and a backslash makes them literal.
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(token) or re.escape(token[-1]) for token in tokens)
    return re.fullmatch(expression, database, re.DOTALL | re.IGNORECASE) is not None
