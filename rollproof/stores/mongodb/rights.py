"""The rights of an account in MongoDB, by the privileges that the server itself lists for the connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rollproof.stores.contract import Rights

_WRITING = frozenset(
    {
        *("insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "dropDatabase"),
        *("dropIndex", "collMod", "renameCollectionSameDB", "convertToCapped", "anyAction"),
    }
)
# A restore drops collections and creates them again.
_NEEDED = frozenset({"find", "insert", "remove", "createCollection", "createIndex", "dropCollection"})


def judged(privileges: Sequence[Mapping[str, Any]], databases: Sequence[str]) -> Rights:
    """Return the rights in a list of privileges, each of a resource and its actions."""
    held = {name: frozenset(_actions(privileges, name, whole=False)) for name in databases}
    whole = {name: frozenset(_actions(privileges, name, whole=True)) for name in databases}
    return Rights(
        tuple(f"{one} on {name}" for name, every in held.items() for one in sorted(every & _WRITING)),
        tuple(
            f"{one} on {name}"
            for name, every in whole.items()
            if "anyAction" not in every
            for one in sorted(_NEEDED - every)
        ),
    )


def _actions(privileges: Iterable[Mapping[str, Any]], database: str, *, whole: bool) -> Iterator[str]:
    """Yield the actions on `database`; only those on `whole` databases, or on single collections too."""
    for privilege in privileges:
        resource = privilege["resource"]
        collection = str(resource.get("collection", ""))
        # What the server keeps for itself in each database is nobody's data.
        own = collection.startswith("system.") and collection != "system.js"
        if resource.get("anyResource") or (
            resource.get("db") in {"", database} and not own and not (whole and collection)
        ):
            yield from map(str, privilege["actions"])
