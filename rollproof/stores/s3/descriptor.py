"""The profile and descriptor of S3 servers."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from rollproof.collection import Json
from rollproof.errors import ProfileMistake
from rollproof.profile.recognition import Recognition, Statements
from rollproof.profile.sections import Account, Address, NamePlace, StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Means

VERSIONS = "versions "
"""Prefix of a bucket's name for all versions of its objects; a restore by copies adds to these."""


class S3Profile(StoreProfile):
    """An S3 server, such as SeaweedFS, RustFS or MinIO."""

    kind: Literal["s3"]
    address: Address
    buckets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Buckets of the target."""
    region: str = "us-east-1"
    """Region that requests are signed for."""
    reader: Account
    operator: Account
    backup: Literal["versions", "copies"] = "copies"
    """`copies` copies each object; `versions` only lists the bucket's own versions, lost with the bucket."""


def _means(profile: S3Profile) -> Means:
    return Means.VERSIONS if profile.backup == "versions" else Means.COPIES


def _keeps_less(profile: S3Profile) -> str:
    return "backup = 'versions', which keeps no copy" if profile.backup == "versions" else ""


def _wrong_place(place: NamePlace) -> ProfileMistake | None:
    if place.fields != ("key",):
        return ProfileMistake(f"field key of {place.collection}", ", ".join(place.fields))
    return None


def _history_of(collection: str) -> str | None:
    return collection.removeprefix(VERSIONS) if collection.startswith(VERSIONS) else None


def _keeps_versions(schema: Json) -> bool | None:
    return schema["versioning"] == "Enabled" if isinstance(schema, dict) and "versioning" in schema else None


# Every read, and nothing else: SeaweedFS takes no narrower pattern, such as s3:GetObject*.
_READING = ("s3:Get*", "s3:List*")


def _grants(profile: S3Profile) -> Grants:
    def policy(actions: tuple[str, ...]) -> str:
        resources = [f"arn:aws:s3:::{name}{more}" for name in profile.buckets for more in ("", "/*")]
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})

    return Grants(
        reader=(f"# policy of {profile.reader.user}", policy(_READING)),
        operator=(f"# policy of {profile.operator.user}", policy(("s3:*",))),
    )


DESCRIPTOR = Descriptor(
    profile=S3Profile,
    least_risk="low",
    means=_means,
    keeps_less=_keeps_less,
    keys=("key",),
    wrong_place=_wrong_place,
    exports_as_operator=True,
    history_of=_history_of,
    keeps_versions=_keeps_versions,
    noun="buckets",
    setting_for_copies='backup = "copies"',
    advice_for_versions='mc version enable ALIAS/BUCKET, or backup = "copies" in the profile',
    reader="rollproof.stores.s3.reader:S3Reader",
    grants=_grants,
    recognition=Recognition(
        name="s3",
        images=("minio", "seaweedfs", "garage", "rustfs"),
        ports=(9000, 8333, 3900),
        variables=("MINIO_ROOT_", "RUSTFS_"),
        listed={"buckets": ("MINIO_DEFAULT_BUCKETS", "MINIO_BUCKET", "MINIO_BUCKET_NAME")},
        logins=(
            ("$MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
            ("$MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
            ("$RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY"),
        ),
        statements=Statements(
            images=("minio",),
            head="mc alias set here http://127.0.0.1:{port}"
            ' "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" > /dev/null',
            account="echo '{grants}' > /tmp/{user}.json\n"
            "mc admin user add here {user} '{password}'\n"
            "mc admin policy create here {user} /tmp/{user}.json\n"
            # Attaching a policy twice is an error: detach first.
            "mc admin policy detach here {user} --user {user} > /dev/null 2>&1 || true\n"
            "mc admin policy attach here {user} --user {user}",
            client="exec sh -e -s",
            fresh="Users and policies are in the server's own volume, which is empty on a fresh server. Give "
            "the project a one-shot service with mc that runs these commands once the server is healthy.",
        ),
    ),
    keeper="rollproof.stores.s3.keeper:S3Keeper",
)
