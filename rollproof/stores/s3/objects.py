"""One object of S3: reading it, and putting the same object back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from minio import Minio
from minio.commonconfig import COPY, REPLACE, CopySource, Tags
from minio.datatypes import Object

from rollproof.stores.reach import Reach
from rollproof.stores.s3.reader import HEADERS, USER_HEADER, ReadObject, lowered, read_contents, read_tags

# The version of an object that was put before its bucket began to keep versions.
NO_VERSION = "null"
# The client cannot send this one, and makes a user's header of it. Only copying a version restores it.
UNSENDABLE = "expires"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read: `headers` have names in lower case, `sha256` is of the stored bytes.

    `version` is None if the bucket keeps no versions. After a multipart upload or under encryption, `etag`
    says nothing about the content, but equal values mean equal content. `modified` is the listing's time of
    the last modification.
    """

    bucket: str
    key: str
    version: str | None
    etag: str
    size: int
    sha256: str
    headers: dict[str, str]
    tags: dict[str, str]
    modified: str = ""

    @classmethod
    def of(cls, bucket: str, version: str | None, found: ReadObject, modified: str = "") -> StoredObject:
        """Return what a backup's listing has of an object."""
        return cls(
            bucket=bucket,
            key=found.key,
            version=version,
            etag=found.headers.get("etag", "").strip('"'),
            size=found.size,
            sha256=found.sha256.hex(),
            headers=_own(found.headers),
            tags=dict(found.tags),
            modified=modified,
        )

    def like(self, other: StoredObject) -> bool:
        """Return True if both have the same name, content, headers and tags, in whatever version."""
        ours, theirs = (replace(one, version=None, etag="", modified="") for one in (self, other))
        return ours == theirs

    def listed_as(self, item: Object) -> bool:
        """Return True if the listing's `item` is what was read: the object was not put again since."""
        said = (item.size, item.etag, item.version_id or NO_VERSION, str(item.last_modified))
        return said == (self.size, self.etag, self.version or NO_VERSION, self.modified)


def read_object(
    client: Minio,
    reach: Reach,
    bucket: str,
    key: str,
    version: str | None = None,
    sink: IO[bytes] | None = None,
) -> ReadObject:
    """Read the content of an object to its end, into `sink` if there is one."""
    headers, size, sha256 = read_contents(client, reach, bucket, key, version, sink)
    return ReadObject(key, headers, size, sha256, read_tags(client, bucket, key, headers, version))


def same_headers(client: Minio, kept: StoredObject) -> bool:
    """Return True if the current object has the headers and tags of `kept`; its content is not read."""
    headers = lowered(client.stat_object(kept.bucket, kept.key).metadata or {})
    if _own(headers) != kept.headers:
        return False
    return read_tags(client, kept.bucket, kept.key, headers) == kept.tags


def copy_version(client: Minio, kept: StoredObject) -> None:
    """Make the recorded version of `kept` the current one again, by a copy inside the server."""
    # A version's headers never change. A server may, however, refuse a copy onto itself that changes none.
    theirs = UNSENDABLE in kept.headers
    client.copy_object(
        kept.bucket,
        kept.key,
        CopySource(kept.bucket, kept.key, version_id=kept.version),
        metadata=None if theirs else dict(kept.headers),
        tags=_to_tags(kept.tags),
        metadata_directive=COPY if theirs else REPLACE,
        # A version's tags can change after the backup: the recorded ones count.
        tagging_directive=REPLACE,
    )


def put_copy(client: Minio, kept: StoredObject, content: Path) -> None:
    """Put `kept` again, from the file `content`."""
    others = {name: value for name, value in kept.headers.items() if name != "content-type"}
    client.fput_object(
        kept.bucket,
        kept.key,
        str(content),
        content_type=kept.headers.get("content-type", "application/octet-stream"),
        metadata=dict(others),
        tags=_to_tags(kept.tags),
    )


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(headers.items())
        if name in {*HEADERS, "content-type"} or name.startswith(USER_HEADER)
    }


def _to_tags(tags: Mapping[str, str]) -> Tags | None:
    made = Tags.new_object_tags()
    made.update(tags)
    return made if tags else None
