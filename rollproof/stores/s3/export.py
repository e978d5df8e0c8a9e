"""S3's export: objects and versions in files named by their content, and commands to put them again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import format_datetime, parsedate_to_datetime
from itertools import islice
from pathlib import Path
from shlex import join, quote
from typing import TypeVar
from urllib.parse import quote as percent
from urllib.parse import urlencode

from minio.error import S3Error

from rollproof.collection import Json
from rollproof.stores.canonical import packed
from rollproof.stores.contract import ExportedRecord, Pace, Selection, Wanted
from rollproof.stores.policy import excluded_of
from rollproof.stores.s3.content import (
    GONE,
    IN_FLIGHT,
    USER_HEADER,
    Content,
    ReadObject,
    name_of_version,
    read_contents,
    version_record,
)
from rollproof.stores.s3.descriptor import VERSIONS
from rollproof.stores.s3.listing import BATCH, UNIT_BYTES, Listed
from rollproof.stores.s3.view import translated
from rollproof.system.side_by_side import Workers

OBJECTS = "objects"
# The names of headers in a request of the AWS command line.
REQUESTED = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
}

Item = TypeVar("Item")
Found = tuple[ExportedRecord | None, int]
"""A record, or None if it is missing or differs, and the number of bytes read for it."""


class Export(Content):
    """Reads whole objects and versions. See `RecordExport`.

    It acts as the operator, like backups, and writes nothing to the store. A server may let a reader list
    versions without reading them, and hide an object's tags.

    A key's versions come from the oldest to the newest, so that after a replay the newest is current again.
    They get new version ids.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return a shell, to run in the export's folder, that stops at the first failing command."""
        endpoint, account = self._reach.endpoint, self._reach.account
        settings = {
            "AWS_ENDPOINT_URL": self._reach.url,
            "AWS_DEFAULT_REGION": self._profile.region,
            "AWS_ACCESS_KEY_ID": account.user,
            # Without these it adds checksums that some servers do not know, and shows answers in a pager.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_PAGER": "",
            **({"AWS_CA_BUNDLE": str(endpoint.ca)} if endpoint.ca else {}),
        }
        given = " ".join(f"{name}={quote(value)}" for name, value in settings.items())
        return f'{given} AWS_SECRET_ACCESS_KEY="${{AWS_SECRET_ACCESS_KEY:?of {account.user}}}" sh -e'

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted objects or versions; their contents are in ``objects`` below `folder`."""
        collection = selection.collection
        objects = folder / OBJECTS
        with translated(self._reach):
            objects.mkdir(mode=0o700, exist_ok=True)
        every = selection.pairs
        excluded = excluded_of(self._profile, collection)
        bucket = collection.removeprefix(VERSIONS)
        if collection.startswith(VERSIONS):
            versions = self._versions(collection, every, excluded, pace)
            yield from self._side_by_side(versions, lambda pair: self._version(bucket, *pair, objects), pace)
        else:
            # Requested by key, so that the bucket need not be listed.
            keys = iter(sorted({key for key, _ in every}))
            yield from self._side_by_side(
                keys, lambda key: self._current(bucket, key, every, excluded, objects), pace
            )

    def _side_by_side(
        self, items: Iterator[Item], read: Callable[[Item], Found], pace: Pace
    ) -> Iterator[ExportedRecord]:
        """Yield the records read for `items`, in their order."""
        size = Pace.SMALLEST
        with Workers(pace.connections * IN_FLIGHT, "s3") as workers:
            while batch := list(islice(items, min(size, BATCH))):
                started = time.monotonic()
                found = list(workers.in_order(read, batch))
                seconds = time.monotonic() - started
                yield from (record for record, _ in found if record is not None)
                # Large objects take longer, without any load.
                units = len(found) + sum(length // UNIT_BYTES for _, length in found)
                size = pace.next_size(len(found), seconds * len(found) / units)

    def _current(
        self, bucket: str, key: str, wanted: Wanted, excluded: frozenset[str], objects: Path
    ) -> Found:
        """Read a current object."""

        def exported(found: ReadObject) -> ExportedRecord | None:
            for known in hashes(found, excluded):
                if (key, known) in wanted:
                    return ExportedRecord(key, known, shown(bucket, found), put_command(bucket, found))
            return None

        return self._read_into(objects, bucket, key, None, exported)

    def _versions(
        self, collection: str, wanted: Wanted, excluded: frozenset[str], pace: Pace
    ) -> Iterator[tuple[Listed, int]]:
        """Yield the wanted entries of the listing with their hashes, a key's versions from the oldest on.

        A page of a listing has the newest versions first, and the delete markers after all versions. Times
        may be whole seconds.
        """
        found = []
        for item in self._listed(collection, pace):
            known = version_record(item, excluded)
            if (known.key, known.hash) in wanted:
                found.append((item, known.hash))
        found.reverse()
        found.sort(key=lambda pair: (pair[0].key, pair[0].latest, _seconds(pair[0])))
        yield from found

    def _version(self, bucket: str, item: Listed, known: int, objects: Path) -> Found:
        """Read a listed version; a delete marker needs no reading."""
        name = name_of_version(item)
        if item.deleted:
            marker = marked(bucket, item)
            return ExportedRecord(name, known, marker, delete_command(bucket, item.key)), 0

        def exported(found: ReadObject) -> ExportedRecord | None:
            # Only a version without an id can have been overwritten since it was listed. For a multipart
            # object, a server has listed a different ETag than it returns.
            same = "-" in item.etag or item.etag.strip('"') == _etag(found)
            if found.size != item.size or not same:
                return None
            content = shown(bucket, found) | {"version": item.version, "latest": item.latest}
            return ExportedRecord(name, known, content, put_command(bucket, found))

        return self._read_into(objects, bucket, item.key, item.version, exported)

    def _read_into(
        self,
        objects: Path,
        bucket: str,
        key: str,
        version: str | None,
        exported: Callable[[ReadObject], ExportedRecord | None],
    ) -> Found:
        """Read an object into a file; keep the file, named by its SHA-256, if `exported` gives a record."""
        self._expect_askable(bucket, key)
        # Each attempt uses the same name, so that a file left by a kill is overwritten.
        place = packed([bucket.encode(), key.encode(), version.encode() if version else None])
        part = objects / f".{hashlib.sha256(place).hexdigest()}.part"
        with translated(self._reach):
            client = self._open()
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as sink:
                    headers, size, sha256 = read_contents(client, self._reach, bucket, key, version, sink)
                    sink.flush()
                    # Several at once, here: the folder is synced when all is there.
                    os.fsync(sink.fileno())
                found = ReadObject(
                    key, headers, size, sha256, self._tags(client, bucket, key, headers, version)
                )
                record = exported(found)
                if record is not None:
                    part.replace(objects / sha256.hex())
            except S3Error as error:
                if error.code in GONE:
                    return None, 0
                raise
            finally:
                part.unlink(missing_ok=True)
        return record, size


def hashes(found: ReadObject, excluded: frozenset[str]) -> set[int]:
    """Return an object's possible hashes: with its tags, and without, for a reader that cannot see them."""
    return {each.record(excluded).hash for each in (found, replace(found, tags={}))}


def shown(bucket: str, found: ReadObject) -> dict[str, Json]:
    """Return an object's description for people; its bytes are in a file."""
    return {
        "bucket": bucket,
        "key": found.key,
        "version": found.headers.get("x-amz-version-id"),
        "modified": found.headers.get("last-modified"),
        "size": found.size,
        "etag": _etag(found),
        "file": f"{OBJECTS}/{found.sha256.hex()}",
        "content_type": found.headers.get("content-type"),
        "headers": dict(found.own_headers()),
        "metadata": dict(_named(found)),
        "tags": dict(found.tags),
    }


def marked(bucket: str, item: Listed) -> dict[str, Json]:
    """Return a delete marker's description for people."""
    return {
        "bucket": bucket,
        "key": item.key,
        "version": item.version,
        "modified": item.modified.isoformat() if item.modified else None,
        "latest": item.latest,
        "delete_marker": True,
    }


def put_command(bucket: str, found: ReadObject) -> str:
    """Return the command that puts an object, to run in the export's folder.

    JSON values are used unchanged. As options, keys that begin with ``file://`` would be read from a file,
    and keys that begin with a dash would be options themselves. A line break would split the line.
    """
    request: dict[str, Json] = {"Bucket": bucket, "Key": found.key}
    request |= {REQUESTED[name]: found.headers[name] for name in REQUESTED if name in found.headers}
    expires = found.headers.get("expires")
    # The tool refuses the whole object for a text that is no time; such a text is only in `content`.
    if expires is not None and _is_time(expires):
        request["Expires"] = expires
    metadata = _named(found)
    if metadata:
        request["Metadata"] = dict(metadata)
    if found.tags:
        request["Tagging"] = urlencode(found.tags, quote_via=percent)
    body = f"{OBJECTS}/{found.sha256.hex()}"
    return join(["aws", "s3api", "put-object", "--body", body, "--cli-input-json", json.dumps(request)])


def delete_command(bucket: str, key: str) -> str:
    """Return the command that deletes a key; in a versioned bucket it makes a delete marker."""
    request = json.dumps({"Bucket": bucket, "Key": key})
    return join(["aws", "s3api", "delete-object", "--cli-input-json", request])


def _named(found: ReadObject) -> dict[str, str]:
    return {name.removeprefix(USER_HEADER): value for name, value in found.metadata().items()}


def _etag(found: ReadObject) -> str:
    return found.headers.get("etag", "").strip('"')


def _is_time(text: str) -> bool:
    try:
        return format_datetime(parsedate_to_datetime(text), usegmt=True) == text
    except (ValueError, TypeError, OverflowError):
        return False


def _seconds(item: Listed) -> float:
    return item.modified.timestamp() if item.modified else 0.0
