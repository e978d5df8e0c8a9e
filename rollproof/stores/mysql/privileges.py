"""The privileges of the connected account: what it may change, and what the server silently hides from it.

A server leaves out, without a word, the objects that an account may not see: without TRIGGER it has no
triggers. Only the grants tell "none" from "hidden".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rollproof.collection import Json
from rollproof.stores.contract import Rights
from rollproof.stores.mysql.connection import Flavour, Session, rows
from rollproof.stores.mysql.schema import BODIES

ALL = "ALL PRIVILEGES"
NEEDED = frozenset(
    {
        *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES", "CREATE VIEW"),
        *("SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "TRIGGER"),
    }
)
"""What it takes to dump, drop and create again all of a database."""
# TRIGGER and EVENT are not among them: without these a reader does not see what it must.
_WRITING = frozenset(
    {
        *(ALL, "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "CREATE", "DROP", "ALTER", "INDEX"),
        *("CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "GRANT OPTION", "SUPER", "FILE"),
    }
)
# The privileges that show all such objects; of routines, any one of the last three shows them without bodies,
# and then a body's absence shows.
_SHOWING = {"tables": "SELECT", "views": "SHOW VIEW", "triggers": "TRIGGER", "events": "EVENT"}
_SHOWING_ROUTINES: Mapping[Flavour, str] = {"mysql": "SHOW_ROUTINE", "mariadb": "SHOW CREATE ROUTINE"}
_SHOWING_NAMES = frozenset({"EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE"})
_GRANT = re.compile(r"GRANT (?P<privileges>.+) ON (?P<database>\*|`(?:[^`]|``)+`)\.\* TO ")


@dataclass(frozen=True, slots=True)
class Privileges:
    """An account's privileges by pattern of databases, ``*`` for all."""

    granted: Sequence[tuple[str, frozenset[str]]]

    def on(self, database: str) -> frozenset[str]:
        """Return the privileges on the whole of `database`, global ones included."""
        held = (privileges for pattern, privileges in self.granted if _covers(pattern, database))
        return frozenset().union(*held)

    def everywhere(self, any_of: frozenset[str]) -> bool:
        """Return True if one of these privileges is held on everything."""
        return any(pattern == "*" and any_of & privileges for pattern, privileges in self.granted)

    def missing(self, databases: Iterable[str]) -> list[str]:
        """Return the privileges in `NEEDED` that it lacks, each as ``TRIGGER on imagedb``."""
        held = {name: self.on(name) for name in databases}
        return [
            f"{one} on {name}"
            for name, every in held.items()
            if ALL not in every
            for one in sorted(NEEDED - every)
        ]


def privileges_of(connection: Session) -> Privileges:
    """Return the account's privileges, those of its active roles included."""
    query = "SHOW GRANTS"
    if connection.flavour == "mysql":
        ((roles,),) = rows(connection, "SELECT CURRENT_ROLE()")
        if roles != "NONE":
            query = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return parsed(str(text) for (text,) in rows(connection, query))


def parsed(grants: Iterable[str]) -> Privileges:
    """Return the privileges on whole databases in the lines of SHOW GRANTS."""
    found = []
    for text in grants:
        if match := _GRANT.match(text):
            name = match["database"].strip("`").replace("``", "`")
            found.append((name, frozenset(re.split(r",\s*", match["privileges"]))))
    return Privileges(found)


def rights(held: Privileges, databases: Sequence[str]) -> Rights:
    """Return the rights on whole `databases`, as `Rights` has them."""
    writes = [f"{one} on {name}" for name in databases for one in sorted(held.on(name) & _WRITING)]
    return Rights(tuple(writes), tuple(held.missing(databases)))


def shows(held: Privileges, database: str) -> bool:
    """Return whether the server shows the account a `database` with its tables, if it is there."""
    return not held.on(database).isdisjoint({ALL, "SELECT"})


def sight(
    held: Privileges, flavour: Flavour, databases: Sequence[str], found: Mapping[str, Json]
) -> dict[str, str]:
    """Return what the account sees, as ``triggers of imagedb``, with the privilege it lacks, or "".

    `found` are the schemas read with the account: one without its body is hidden as well.
    """
    first = {**_SHOWING, "routines": _SHOWING_ROUTINES[flavour]}
    # MySQL shows routines to an account that may read everything, with their bodies.
    reads_all = flavour == "mysql" and held.everywhere(frozenset({"SELECT"}))
    seen = {}
    for database in databases:
        privileges = held.on(database)
        for objects, privilege in first.items():
            enough = {ALL, privilege, *(_SHOWING_NAMES if objects == "routines" else ())}
            shown = not privileges.isdisjoint(enough) or (objects == "routines" and reads_all)
            seen[f"{objects} of {database}"] = "" if shown else _needed(privilege, database)
    for name, schema in found.items():
        texts = isinstance(schema, dict) and [schema[key] for key in BODIES if key in schema]
        if texts and not any(texts):
            kind, _, of = name.partition(" ")
            privilege = first.get(f"{kind}s", first["routines"])
            seen[f"the body of {name}"] = _needed(privilege, of.partition(".")[0])
    return seen


def _needed(privilege: str, database: str) -> str:
    # That one is granted on everything or not at all.
    return f"{privilege} on {'*' if privilege == 'SHOW_ROUTINE' else database}.*"


def _covers(pattern: str, database: str) -> bool:
    """Return True if a grant on `pattern` holds for `database`: % and _ are wildcards unless escaped."""
    if pattern == "*":
        return True
    expression = "".join(
        re.escape(piece[-1]) if piece.startswith("\\") else {"%": ".*", "_": "."}.get(piece, re.escape(piece))
        for piece in re.findall(r"\\.|.", pattern, re.DOTALL)
    )
    return re.fullmatch(expression, database, re.DOTALL) is not None
