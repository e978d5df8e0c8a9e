"""The signs of MinIO and other S3 servers in a compose project, and the statements for their accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollproof.stores.reach import Reach
from rollproof.stores.recognising import Clues, Creation, Holder, Recognition, exchanged, password
from rollproof.stores.s3.descriptor import DESCRIPTOR, S3Profile


def _settings(clues: Clues) -> dict[str, Any]:
    names = clues.says("MINIO_DEFAULT_BUCKETS", "MINIO_BUCKET", "MINIO_BUCKET_NAME")
    buckets = [name.partition(":")[0].strip() for name in names.split(",") if name.strip()]
    return {"buckets": buckets} if buckets else {}


def _greet(reach: Reach) -> str:
    """Return that it refuses a listing of nobody's in the words of S3."""
    said = exchanged(reach, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 4096)
    if not said.startswith(b"HTTP/") or (b"<Error>" not in said and b"ListAllMyBucketsResult" not in said):
        return ""
    return "MinIO" if b"MinIO" in said else "S3"


def _create(profile: S3Profile, holders: Mapping[str, Holder]) -> Creation:
    granted = DESCRIPTOR.grants(profile)
    server = f"http://127.0.0.1:{profile.address.port}"
    lines = [f'mc alias set here {server} "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" > /dev/null']
    for role, holder in holders.items():
        policy = (granted.reader if role == "reader" else granted.operator)[-1]
        lines += [
            f"echo '{policy}' > /tmp/{holder.user}.json",
            f"mc admin user add here {holder.user} '{password(role)}'",
            f"mc admin policy create here {holder.user} /tmp/{holder.user}.json",
            # To attach what is attached is an error.
            f"mc admin policy detach here {holder.user} --user {holder.user} > /dev/null 2>&1 || true",
            f"mc admin policy attach here {holder.user} --user {holder.user}",
        ]
    return Creation(
        lines=lines,
        client="exec sh -e -s",
        fresh=(
            "Users and policies are in the server's own volume. For a fresh server, which has an "
            "empty one: a one-shot service with mc that runs these commands after the server is "
            "healthy."
        ),
    )


RECOGNITION = Recognition(
    name="minio",
    images=("minio", "seaweedfs", "garage", "rustfs"),
    ports=(9000, 8333),
    variables=("MINIO_ROOT_", "MINIO_ACCESS_KEY"),
    settings=_settings,
    logins=(("$MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"), ("$MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")),
    greet=_greet,
    holdings="rollproof.stores.s3.view:holdings",
    create=_create,
)
