"""The profile and descriptor of Milvus."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from rollproof.collection import Json
from rollproof.profile.recognition import Recognition, Statements
from rollproof.profile.sections import Account, Address, StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, KeyFields, Means


class MilvusProfile(StoreProfile):
    """Milvus, with the services that hold its three kinds of data: segments, metadata, objects."""

    kind: Literal["milvus"]
    address: Address
    database: str = "default"
    """Database of the target."""
    collections: tuple[str, ...] = ("*",)
    """Patterns of the target's collections."""
    reader: Account | None = None
    operator: Account | None = None
    ready_seconds: PositiveInt = 60
    """Seconds within which its collections must be loaded after a restore."""


def _keys(schema: Json) -> KeyFields:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(fields, list):
        return None
    return tuple(
        str(field.get("name")) for field in fields if isinstance(field, dict) and field.get("is_primary")
    )


_READING = (
    *(("Global", one) for one in ("DescribeAlias", "DescribeCollection", "ListAliases", "ShowCollections")),
    *(("Collection", one) for one in ("GetLoadState", "GetLoadingProgress", "GetStatistics", "HasPartition")),
    # Milvus 2.3 asks for Load even to tell whether a collection is loaded. Loading changes no data.
    *(("Collection", one) for one in ("IndexDetail", "Load", "Query", "Search", "ShowPartitions")),
)


def _grants(profile: MilvusProfile) -> Grants:
    """State calls of `pymilvus.MilvusClient`, as `client`."""
    if profile.reader is None:
        reader: tuple[str, ...] = ("# no account in the profile: the server runs without authorization",)
    else:
        user = profile.reader.user
        each = (f"client.grant_privilege({user!r}, {kind!r}, {one!r}, '*')" for kind, one in _READING)
        reader = (f"client.create_role({user!r})", *each, f"client.grant_role({user!r}, {user!r})")
    return Grants(reader=reader, operator=("# root, or a user with the role admin",))


DESCRIPTOR = Descriptor(
    profile=MilvusProfile,
    least_risk="high",
    means=lambda _: Means.VOLUMES,
    keys=_keys,
    wrong_place=lambda _: None,
    holds_vectors=True,
    has_format_marks=True,
    restores_everything=True,
    reader="rollproof.stores.milvus.reader:MilvusReader",
    grants=_grants,
    recognition=Recognition(
        name="milvus",
        images=("milvus",),
        ports=(19530,),
        parts=("ETCD_ENDPOINTS", "MINIO_ADDRESS"),
        guards={"COMMON_SECURITY_AUTHORIZATIONENABLED": "true"},
        operator="root",
        statements=Statements(
            head="import os, pymilvus\n"
            'root = {"user": "root", "password": os.environ["MILVUS_ROOT_PASSWORD"]}\n'
            'client = pymilvus.MilvusClient("http://HOST:{port}", **root)',
            account='client.create_user("{user}", "{password}")\n{grants}',
            fresh="Users and roles are in etcd, which is empty on a fresh server. Give the project a "
            "one-shot service that makes these calls.",
        ),
    ),
    keeper="rollproof.stores.milvus.keeper:MilvusKeeper",
)
