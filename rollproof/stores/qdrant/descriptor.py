"""The profile and descriptor of Qdrant."""

from __future__ import annotations

from typing import Literal

from rollproof.profile.recognition import Recognition, Statements
from rollproof.profile.sections import Address, ApiKey, StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Means


class QdrantProfile(StoreProfile):
    """Qdrant over REST."""

    kind: Literal["qdrant"]
    address: Address
    collections: tuple[str, ...] = ("*",)
    """Patterns of the target's collections."""
    reader: ApiKey | None = None
    operator: ApiKey | None = None


def _grants(_: QdrantProfile) -> Grants:
    return Grants(
        reader=("# service.read_only_api_key of the server, which sees every collection",),
        operator=("# service.api_key of the server",),
    )


DESCRIPTOR = Descriptor(
    profile=QdrantProfile,
    least_risk="medium",
    means=lambda _: Means.COLLECTIONS,
    keys=("id",),
    wrong_place=lambda _: None,
    holds_vectors=True,
    has_format_marks=True,
    reader="rollproof.stores.qdrant.reader:QdrantReader",
    grants=_grants,
    recognition=Recognition(
        name="qdrant",
        images=("qdrant",),
        ports=(6333,),
        variables=("QDRANT__",),
        guards={"QDRANT__SERVICE__API_KEY": ""},
        common="",
        logins=(("key", "QDRANT__SERVICE__READ_ONLY_API_KEY"), ("key", "QDRANT__SERVICE__API_KEY")),
        statements=Statements(
            fresh="Qdrant's keys are settings of the server: QDRANT__SERVICE__API_KEY for the operator and "
            "QDRANT__SERVICE__READ_ONLY_API_KEY for the reader, in `environment` of its service.",
        ),
    ),
    keeper="rollproof.stores.qdrant.keeper:QdrantKeeper",
)
