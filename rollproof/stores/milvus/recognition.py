"""The signs of Milvus in a compose project, and the calls that create its accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollproof.stores.milvus.descriptor import DESCRIPTOR, MilvusProfile
from rollproof.stores.recognising import (
    READING,
    Clues,
    Creation,
    Holder,
    Recognition,
    password,
    two_accounts,
)

_AUTHORIZATION = "COMMON_SECURITY_AUTHORIZATIONENABLED"


def _parts(clues: Clues) -> Sequence[str]:
    """Return the addresses of its metadata and of its objects."""
    return tuple(address for name in ("ETCD_ENDPOINTS", "MINIO_ADDRESS") if (address := clues.says(name)))


def _guarded(clues: Clues) -> bool:
    # Whoever prepares a secret for a reader means to ask for it.
    return clues.says(_AUTHORIZATION).lower() == "true" or clues.secret_of(READING) is not None


def _accounts(clues: Clues) -> dict[str, Holder]:
    found = two_accounts(clues)
    if not clues.secret_of(frozenset({"root"})):
        found["operator"] = Holder("root", {"env": f"{clues.variable}_ROOT_PASSWORD"})
    return found


def _create(profile: MilvusProfile, holders: Mapping[str, Holder]) -> Creation:
    if not holders:
        return Creation(lines=(), fresh="It asks nobody who they are: there is no account to create.")
    if "reader" not in holders:
        return Creation(lines=(), fresh="Its reader is there already; root is the server's own.")
    return Creation(
        lines=(
            "import os, pymilvus",
            'root = {"user": "root", "password": os.environ["MILVUS_ROOT_PASSWORD"]}',
            f'client = pymilvus.MilvusClient("http://HOST:{profile.address.port}", **root)',
            f'client.create_user({holders["reader"].user!r}, "{password("reader")}")',
            *DESCRIPTOR.grants(profile).reader,
        ),
        fresh=("Users and roles are in etcd. For a fresh server: a one-shot service that makes these calls."),
    )


RECOGNITION = Recognition(
    name="milvus",
    images=("milvus",),
    ports=(19530,),
    parts=_parts,
    guarded=_guarded,
    accounts=_accounts,
    create=_create,
)
