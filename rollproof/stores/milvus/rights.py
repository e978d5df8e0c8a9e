"""The rights of an account in Milvus, by the roles that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.contract import Rights
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.milvus.view import connect, translated
from rollproof.stores.reach import Reach, Readable

_ADMIN = "admin"
# It may do everything without a role: the server does not ask for its privileges.
_ROOT = "root"
_ALL = frozenset({"*", "All", "ClusterAdmin", "DatabaseAdmin", "CollectionAdmin"})
_WRITING = frozenset(
    {
        *_ALL,
        *("Insert", "Delete", "Upsert", "Import", "CreateCollection", "DropCollection", "RenameCollection"),
        *("CreateIndex", "DropIndex", "CreatePartition", "DropPartition", "CreateAlias", "DropAlias"),
        *("ClusterReadWrite", "DatabaseReadWrite", "CollectionReadWrite"),
    }
)
_NEEDED = frozenset({"Insert", "DropCollection", "CreateCollection"})


def rights(readable: Readable[MilvusProfile]) -> Rights:
    """Return what the account may do. See `Descriptor.rights`."""
    reach = readable.reach
    if reach.account.user == _ROOT:
        # What it may do is known; that it may log in is not.
        connect(reach, readable.profile.database).close()
        return Rights(writes=(f"everything, as {_ROOT}",))
    # Once it has logged in, what is refused is the question.
    with (
        closing(connect(reach, readable.profile.database)) as client,
        _told(reach),
        translated(reach, "the roles of the account"),
    ):
        roles = client.describe_user(reach.account.user, timeout=reach.deadline).get("roles", ())
        granted = {role: _granted(client.describe_role(role, timeout=reach.deadline)) for role in roles}
    return judged(granted)


@contextmanager
def _told(reach: Reach) -> Iterator[None]:
    """Say of a refusal that the rights are not known, not that they are wrong."""
    try:
        yield
    except Unverifiable as problem:
        if problem.means in {Meaning.TIMEOUT, Meaning.UNREACHABLE}:
            raise
        raise reach.untold("the privilege SelectOwnership, to ask what a role may do") from None


def judged(granted: Mapping[str, Iterable[str]]) -> Rights:
    """Return the rights of an account with these roles, each with the privileges that it is granted."""
    if _ADMIN in granted:
        return Rights(writes=(f"everything, by the role {_ADMIN}",))
    every = {role: frozenset(privileges) for role, privileges in granted.items()}
    held = frozenset[str]().union(*every.values())
    writes = [f"{one}, by the role {role}" for role, them in every.items() for one in sorted(them & _WRITING)]
    return Rights(tuple(writes), () if held & _ALL else tuple(sorted(_NEEDED - held)))


def _granted(role: Mapping[str, Any]) -> Iterator[str]:
    return (str(one["privilege"]) for one in role.get("privileges") or ())
