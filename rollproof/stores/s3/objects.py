"""One object of S3: reading it, its record, and putting the same object back."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO

from minio import Minio
from minio.commonconfig import REPLACE, CopySource, Tags
from minio.datatypes import Object

from rollproof.collection import Json
from rollproof.stores.canonical import packed, record_of
from rollproof.stores.contract import RecordHash
from rollproof.stores.reach import Reach

PIECE_BYTES = 1 << 20
# The deadline starts again after so many bytes of a large object.
STRETCH_BYTES = 16 << 20
# Headers that belong to an object and are restored with it. The content type is a separate field.
HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language")
CONTENT_TYPE, USER_HEADER = "content-type", "x-amz-meta-"
# The version of an object that was put before its bucket began to keep versions.
NO_VERSION = "null"
_EXPIRY = re.compile(r'expiry-date="([^"]+)"')


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read: `headers` have names in lower case, `sha256` is of the stored bytes.

    After a multipart upload or under encryption, `etag` says nothing about the content, but equal values mean
    equal content. `version` is None if the bucket keeps no versions. A backup has `version` and `modified` as
    the listing has them. `expires` is when the server removes the object by itself, in seconds since 1970.
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
    expires: float | None = None

    def like(self, other: StoredObject) -> bool:
        """Return True if both have the same name, content, headers and tags, in whatever version."""
        ours, theirs = (replace(o, version=None, etag="", modified="", expires=None) for o in (self, other))
        return ours == theirs

    def listed_as(self, item: Object) -> bool:
        """Return True if the listing's `item` is what was read: the object was not put again since."""
        said = (item.size, item.etag, item.version_id or NO_VERSION, str(item.last_modified))
        return said == (self.size, self.etag, self.version or NO_VERSION, self.modified)

    def own_headers(self) -> dict[str, str]:
        """Return its headers among `HEADERS`."""
        return {name: self.headers[name] for name in HEADERS if name in self.headers}

    def metadata(self) -> dict[str, str]:
        """Return its user-defined headers, by their whole names: ``x-amz-meta-…``."""
        return {name: value for name, value in self.headers.items() if name.startswith(USER_HEADER)}

    def record(self, excluded: frozenset[str] = frozenset()) -> RecordHash:
        """Return its record without the `excluded` fields."""
        content_type = self.headers.get(CONTENT_TYPE)
        fields = {
            "size": b"%d" % self.size,
            "content": bytes.fromhex(self.sha256),
            "content_type": None if content_type is None else content_type.encode(),
            "headers": _pairs(self.own_headers()),
            "metadata": _pairs(self.metadata()),
            "tags": _pairs(self.tags),
        }
        kept = {name: value for name, value in fields.items() if name not in excluded}
        return record_of(self.key, self.key.encode(), kept, self.expires)

    def shown(self, file: str) -> dict[str, Json]:
        """Return its description for people, and for `Keeper.putting`; its bytes are in `file`."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "version": self.version,
            "modified": self.modified,
            "size": self.size,
            "etag": self.etag,
            "file": file,
            "content_type": self.headers.get(CONTENT_TYPE),
            "headers": dict(self.own_headers()),
            "metadata": {name.removeprefix(USER_HEADER): value for name, value in self.metadata().items()},
            "tags": dict(self.tags),
        }


def read_object(
    client: Minio,
    reach: Reach,
    bucket: str,
    key: str,
    version: str | None = None,
    sink: IO[bytes] | None = None,
    *,
    tags: bool = True,
) -> StoredObject:
    """Read the content of an object to its end, into `sink` if there is one; and its `tags` if wanted."""
    countdown = reach.start()
    response = client.get_object(bucket, key, version_id=version)
    digest, size, stretch = hashlib.sha256(), 0, 0
    with closing(response):
        # By default the HTTP library would decompress objects stored as gzip.
        for piece in response.stream(PIECE_BYTES, decode_content=False):
            countdown.left()
            digest.update(piece)
            if sink is not None:
                sink.write(piece)
            size += len(piece)
            stretch += len(piece)
            if stretch >= STRETCH_BYTES:
                countdown, stretch = reach.start(), 0
        headers = response.headers
        response.release_conn()
    found = StoredObject(bucket, key, version, "", size, digest.hexdigest(), {}, {})
    return _described(client, found, headers, tags=tags)


def look_at(
    client: Minio, bucket: str, key: str, version: str | None = None, *, tags: bool = True
) -> StoredObject:
    """Return an object without its content: its `sha256` is empty."""
    stat = client.stat_object(bucket, key, version_id=version)
    found = StoredObject(bucket, key, version, "", stat.size or 0, "", {}, {})
    return _described(client, found, stat.metadata or {}, tags=tags)


def _described(client: Minio, found: StoredObject, headers: Mapping[str, str], *, tags: bool) -> StoredObject:
    """Return an object with what its `headers` say; tags take another request, if it has any."""
    headers = {name.lower(): value for name, value in headers.items()}
    tagged = None
    if tags and headers.get("x-amz-tagging-count", "0") != "0":
        tagged = client.get_object_tags(found.bucket, found.key, version_id=found.version)
    return replace(
        found,
        version=headers.get("x-amz-version-id"),
        etag=headers.get("etag", "").strip('"'),
        headers={
            name: value
            for name, value in sorted(headers.items())
            if name in {*HEADERS, CONTENT_TYPE} or name.startswith(USER_HEADER)
        },
        tags=dict(tagged or {}),
        modified=headers.get("last-modified", ""),
        expires=expires_at(headers.get("x-amz-expiration", "")),
    )


def expires_at(header: str) -> float | None:
    """Return an object's expiry time by its bucket's rules, from the server's header, or None."""
    found = _EXPIRY.search(header)
    return parsedate_to_datetime(found[1]).timestamp() if found else None


def link(content: Path, place: Path) -> None:
    """Give the file `content` the name `place`, too; where the file system has no such link, copy it."""
    try:
        place.hardlink_to(content)
    except FileExistsError:
        pass  # another object has the same content
    except OSError:
        shutil.copyfile(content, place)


def copy_version(client: Minio, kept: StoredObject) -> None:
    """Make the recorded version of `kept` the current one again, by a copy inside the server."""
    client.copy_object(
        kept.bucket,
        kept.key,
        CopySource(kept.bucket, kept.key, version_id=kept.version),
        metadata=dict(kept.headers),
        tags=_to_tags(kept.tags),
        # A server may refuse a copy onto itself that changes none of the headers.
        metadata_directive=REPLACE,
        # A version's tags can change after the backup: the recorded ones count.
        tagging_directive=REPLACE,
    )


def put_copy(client: Minio, kept: StoredObject, content: Path) -> None:
    """Put `kept` again, from the file `content`."""
    others = {name: value for name, value in kept.headers.items() if name != CONTENT_TYPE}
    client.fput_object(
        kept.bucket,
        kept.key,
        str(content),
        content_type=kept.headers.get(CONTENT_TYPE, "application/octet-stream"),
        metadata=dict(others),
        tags=_to_tags(kept.tags),
    )


def _pairs(values: Mapping[str, str]) -> bytes:
    return packed(text.encode() for pair in sorted(values.items()) for text in pair)


def _to_tags(tags: Mapping[str, str]) -> Tags | None:
    made = Tags.new_object_tags()
    made.update(tags)
    return made if tags else None
