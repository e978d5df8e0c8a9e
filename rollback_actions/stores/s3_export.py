"""S3, its export: objects and versions in files named by their content, and commands that put them again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import format_datetime, parsedate_to_datetime
from itertools import islice
from pathlib import Path
from shlex import join, quote
from typing import TypeVar
from urllib.parse import quote as percent
from urllib.parse import urlencode

from minio.error import S3Error

from fixtures.engines.engine import Endpoint
from fixtures.files import sync_folder
from fixtures.policy import VERSIONS, excluded_of
from fixtures.stores.canonical import packed
from fixtures.stores.content import Json, Pace
from fixtures.stores.profiles import S3Profile
from fixtures.stores.s3 import translated
from fixtures.stores.s3_content import (
    GONE,
    IN_FLIGHT,
    USER_HEADER,
    Content,
    ReadObject,
    name_of_version,
    version_record,
)
from fixtures.stores.s3_listing import BATCH, UNIT_BYTES, Listed
from rollback_actions.stores.export import ExportedRecord, Wanted

OBJECTS = "objects"
# What a header is called in a request of the AWS command line.
REQUESTED = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
}

Item = TypeVar("Item")
Found = tuple[ExportedRecord | None, int]
"""A record, None when it is not there as it is wanted, and the bytes that were read for it."""


class Export(Content):
    """Reads whole objects and versions. See `RecordExport`.

    As the operator: a server may let a reader list versions but not read them, and hide an object's tags from
    it; backups are made as the operator too. Nothing is written.

    Of a bucket's versions, those of a key come from the oldest to the newest, so that the newest is the
    current one again when they are replayed. They get new version ids.
    """

    def __init__(self, name: str, profile: S3Profile, endpoint: Endpoint) -> None:
        """Remember how to connect; the first question connects."""
        super().__init__(name, profile.model_copy(update={"reader": profile.operator}), endpoint)

    def how_to_replay(self, collection: str) -> str:
        """Return a shell, for the folder of the export, that stops at the first command that fails."""
        endpoint, account = self._reach.endpoint, self._reach.account
        settings = {
            "AWS_ENDPOINT_URL": f"{'https' if endpoint.tls else 'http'}://{self._reach.address}",
            "AWS_DEFAULT_REGION": self._profile.region,
            "AWS_ACCESS_KEY_ID": account.user,
            # Else it adds checksums that not every server knows, and shows answers in a pager.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_PAGER": "",
            **({"AWS_CA_BUNDLE": str(endpoint.ca)} if endpoint.ca else {}),
        }
        given = " ".join(f"{name}={quote(value)}" for name, value in settings.items())
        return f'{given} AWS_SECRET_ACCESS_KEY="${{AWS_SECRET_ACCESS_KEY:?of {account.user}}}" sh -e'

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the objects or versions of `wanted`; their contents are in ``objects`` below `folder`."""
        objects = folder / OBJECTS
        with translated(self._reach):
            objects.mkdir(mode=0o700, exist_ok=True)
        every = frozenset(pair for pairs in wanted.values() for pair in pairs)
        excluded = excluded_of(self._profile, collection)
        bucket = collection.removeprefix(VERSIONS)
        if collection.startswith(VERSIONS):
            versions = self._versions(collection, every, excluded, pace)
            yield from self._side_by_side(
                versions, lambda pair: self._version(bucket, *pair, objects), objects, pace
            )
        else:
            # Asked for by their keys: what else is in the bucket need not be listed.
            keys = iter(sorted({key for key, _ in every}))
            yield from self._side_by_side(
                keys, lambda key: self._current(bucket, key, every, excluded, objects), objects, pace
            )

    def _side_by_side(
        self, items: Iterator[Item], read: Callable[[Item], Found], objects: Path, pace: Pace
    ) -> Iterator[ExportedRecord]:
        """Yield what is read of `items`, in their order, when its content is on the disk."""
        size = Pace.SMALLEST
        with ThreadPoolExecutor(pace.connections * IN_FLIGHT, thread_name_prefix="s3") as pool:
            while batch := list(islice(items, min(size, BATCH))):
                started = time.monotonic()
                found = list(pool.map(read, batch))
                seconds = time.monotonic() - started
                with translated(self._reach):
                    sync_folder(objects)
                yield from (record for record, _ in found if record is not None)
                # Large objects take longer: no sign of load.
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
        """Yield what is listed of `wanted` with its hash, the versions of a key from the oldest on.

        A page of a listing has the newest first, and after all of its versions the delete markers. Times may
        be whole seconds.
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
        """Read a version that is listed; of a delete marker there is nothing to be read."""
        name = name_of_version(item)
        if item.deleted:
            marker = marked(bucket, item)
            return ExportedRecord(name, known, marker, delete_command(bucket, item.key)), 0

        def exported(found: ReadObject) -> ExportedRecord | None:
            # Only one without an id can have been written over since it was listed. Of one that came in parts
            # a server was seen to list another ETag than it gives.
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
        """Read an object into a file; keep that, named by its SHA-256, if there is a record of it."""
        self._expect_askable(bucket, key)
        # The same name at each try: what a kill left behind is written over, not left beside.
        place = packed([bucket.encode(), key.encode(), version.encode() if version else None])
        part = objects / f".{hashlib.sha256(place).hexdigest()}.part"
        with translated(self._reach):
            client = self._open()
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as sink:
                    headers, size, sha256 = self._contents(client, bucket, key, version, sink)
                    sink.flush()
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
    """Return the hashes that an object may have: with its tags, and to a reader that is not told of any."""
    return {each.record(excluded).hash for each in (found, replace(found, tags={}))}


def shown(bucket: str, found: ReadObject) -> dict[str, Json]:
    """Return what an object is, for people; its bytes are in a file."""
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
    """Return what a delete marker is, for people: that its key is deleted."""
    return {
        "bucket": bucket,
        "key": item.key,
        "version": item.version,
        "modified": item.modified.isoformat() if item.modified else None,
        "latest": item.latest,
        "delete_marker": True,
    }


def put_command(bucket: str, found: ReadObject) -> str:
    """Return the command that puts an object, in the folder that has its file.

    What is given as JSON is taken as it is. As options, a key that begins with ``file://`` would be read from
    that file, one that begins with a dash would be an option, and a line break would not be on one line.
    """
    request: dict[str, Json] = {"Bucket": bucket, "Key": found.key}
    request |= {REQUESTED[name]: found.headers[name] for name in REQUESTED if name in found.headers}
    expires = found.headers.get("expires")
    # Any other text is no time to this tool, which would refuse the whole object: it is in `content` alone.
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
    """Return the command that deletes a key: where versions are kept, by a delete marker."""
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
