"""A test's own buckets, and everything visible of their objects."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing

from minio import Minio
from minio.commonconfig import ENABLED, Tags
from minio.versioningconfig import VersioningConfig

SHOWN = ("content-type", "cache-control", "content-encoding", "content-disposition")


def make(client: Minio, bucket: str, *, versioned: bool) -> None:
    """Make an empty bucket, whatever an earlier run left."""
    erase(client, bucket)
    client.make_bucket(bucket)
    if versioned:
        client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))


def erase(client: Minio, bucket: str) -> None:
    """Remove a bucket with every version of its objects."""
    if client.bucket_exists(bucket):
        for item in list(client.list_objects(bucket, recursive=True, include_version=True)):
            client.remove_object(bucket, str(item.object_name), item.version_id)
        client.remove_bucket(bucket)


def tags(pairs: Mapping[str, str]) -> Tags:
    """Return `pairs` as the tags of an object."""
    made = Tags.new_object_tags()
    made.update(pairs)
    return made


def put(
    client: Minio,
    bucket: str,
    key: str,
    content: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    tagged: Mapping[str, str] | None = None,
) -> None:
    """Put a small object."""
    others: dict[str, str | list[str] | tuple[str]] = dict(headers or {})
    content_type = str(others.pop("Content-Type", "application/octet-stream"))
    client.put_object(
        bucket,
        key,
        io.BytesIO(content),
        len(content),
        content_type=content_type,
        metadata=others,
        tags=tags(tagged) if tagged else None,
    )


def observe(client: Minio, bucket: str) -> object:
    """Return content, headers and tags of every current object, and whether the bucket keeps versions."""
    seen = {}
    for item in client.list_objects(bucket, recursive=True):
        key = str(item.object_name)
        with closing(client.get_object(bucket, key)) as response:
            content = b"".join(response.stream(decode_content=False))
            response.release_conn()
        headers = {
            name.lower(): value
            for name, value in response.headers.items()
            if name.lower().startswith("x-amz-meta-") or name.lower() in SHOWN
        }
        seen[key] = (content, headers, client.get_object_tags(bucket, key))
    return seen, client.get_bucket_versioning(bucket).status
