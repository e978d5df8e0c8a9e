"""S3, write side: the current objects of the profile's buckets, with their headers and tags.

A backup lists every current object with its version and its content's SHA-256. It also holds the contents,
each once, named by that SHA-256. With ``backup = "versions"`` it holds only contents of objects without a
version. A restore removes no version. Where the bucket keeps versions, a changed object gets its old content
again as a new version, and a newer object gets a delete marker.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar, cast

from minio import Minio
from minio.datatypes import Object
from minio.error import S3Error
from minio.versioningconfig import OFF, VersioningConfig

from rollproof.errors import ActionFailed
from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import Put, RecordKeeper, Restored, Writable, add_records
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.reach import Countdown
from rollproof.stores.s3.client import S3, versioning_of
from rollproof.stores.s3.descriptor import S3Profile
from rollproof.stores.s3.objects import (
    CONTENT_TYPE,
    NO_VERSION,
    USER_HEADER,
    StoredObject,
    copy_version,
    link,
    look_at,
    put_copy,
    read_object,
)
from rollproof.stores.s3.reader import GONE, S3Reader
from rollproof.stores.snapshot import Snapshot
from rollproof.system.files import create_file
from rollproof.system.side_by_side import Workers

LISTING = "objects.jsonl"
CONTENTS = "contents"
WORKERS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")
# The current objects of a bucket by key, as the server lists them.
Listing = Mapping[str, Object]
# Objects by bucket and key, as they were read.
Objects = Mapping[tuple[str, str], StoredObject]


class S3Keeper(RecordKeeper):
    """The write side of an S3 server. See `StoreKeeper`."""

    _profile: S3Profile
    _reader: S3Reader

    def __init__(self, writable: Writable[S3Profile]) -> None:
        """Also open the reader's own account: a server may hide tags from that."""
        super().__init__(writable, operator=False)

    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """Read every current object; write the listing, and the contents that have to be kept here."""
        return self._back_up(folder, index)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; a bucket that is gone is kept as absent.

        An object that is as `backup` has it is not read again.
        """
        package = None
        with suppress(ActionFailed):  # of a damaged backup, each object is read
            package = read_package(backup, kind=self.kind, only=LISTING)
        return self._back_up(folder, None, package, absent_too=True)

    def _back_up(
        self,
        folder: Path,
        index: Snapshot | None,
        earlier: Package | None = None,
        *,
        absent_too: bool = False,
    ) -> Kept:
        countdown, copies = self._whole.start(), self._profile.backup == "copies"
        contents = folder / CONTENTS
        contents.mkdir(mode=0o700)
        before = _listing(earlier) if earlier else {}
        records: dict[str, int] = {}
        versioning: dict[str, str] = {}
        absent: list[str] = []
        with (
            self._connected() as server,
            server.asked("a backup") as client,
            create_file(folder / LISTING) as stream,
            self._reader,
        ):

            def keep(item: Object) -> tuple[StoredObject, RecordHash] | None:
                countdown.left()
                place = contents if copies or not _has_version(item) else None
                if earlier and (same := _as_before(client, item, earlier, before, place)):
                    return same, same.record()
                return self._keep(client, item, place, indexed=index is not None)

            def read(items: Sequence[Object]) -> Iterator[RecordHash]:
                for stored, record in filter(None, _parallel(keep, items)):
                    stream.write(json.dumps(asdict(stored)).encode() + b"\n")
                    yield record

            for bucket in self._profile.buckets:
                if absent_too and not client.bucket_exists(bucket):
                    absent.append(bucket)
                    versioning[bucket], records[bucket] = OFF, 0
                    continue
                versioning[bucket] = versioning_of(client, bucket)
                listed = _current(client, bucket, countdown, versions=versioning[bucket] != OFF)
                records[bucket] = add_records(index, bucket, listed.values(), _key, read)
        kept = (
            "a copy of each"
            if copies
            else "its own versions for the contents (a copy of those that have none)"
        )
        return write_package(
            folder,
            kind=self.kind,
            method=f"listing of all objects with versions and SHA-256, and {kept}"
            + "".join(f"; bucket {bucket} is not there" for bucket in absent),
            means=Means.PARTIAL if absent else Means.COPIES if copies else Means.VERSIONS,
            records=records,
            details={"backup": self._profile.backup, "versioning": versioning, "absent": absent},
        )

    def restore(self, folder: Path) -> Restored:
        """Restore the content, headers and tags of every object in the backup; delete newer objects."""
        return self._restore(folder, {})

    def restore_kept(self, folder: Path, safety: Path) -> Restored:
        """As `restore`, without a request for each object that was kept as the backup has it."""
        seen: Objects = {}
        with suppress(ActionFailed):  # of a damaged copy, each object is looked at
            seen = _listing(read_package(safety, kind=self.kind, only=LISTING))
        return self._restore(folder, seen)

    def _restore(self, folder: Path, seen: Objects) -> Restored:
        """Restore; `seen` are the objects as they were read a moment ago."""
        package = read_package(folder, kind=self.kind)
        recorded = package.details["versioning"]
        self._expect_same(package, "buckets", sorted(recorded), sorted(self._profile.buckets))
        countdown, kept, notes = self._whole.start(), _listing(package), list[str]()
        with self._connected() as server, server.asked("a restore") as client:
            there = {
                bucket: _current(client, bucket, countdown)
                for bucket in self._profile.buckets
                if client.bucket_exists(bucket)
            }
            self._expect_contents(client, package, kept, there, countdown)
            for bucket in self._profile.buckets:
                absent = bucket in package.details["absent"]
                if absent and bucket not in there:
                    continue
                if not absent:  # else it is emptied, not removed: only its owner may remove its versions
                    notes += _prepare(client, bucket, recorded[bucket], missing=bucket not in there)
                wanted = {key: one for (of, key), one in kept.items() if of == bucket}
                listed = there.get(bucket, {})
                notes += self._equalise(client, package, bucket, wanted, listed, seen, countdown)
        return Restored(records=package.records, notes=tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Put each object with its headers, metadata and tags; in a versioned bucket as a new version."""
        with S3(self._reach, self._profile.region) as server:

            def write(record: ExportedRecord) -> None:
                content = cast("Mapping[str, Any]", record.content)
                headers = {f"{USER_HEADER}{name}": value for name, value in content["metadata"].items()}
                headers |= content["headers"]
                if content["content_type"] is not None:
                    headers[CONTENT_TYPE] = content["content_type"]
                stored = StoredObject(
                    collection, record.key, None, "", content["size"], "", headers, content["tags"]
                )
                with server.asked("an object put") as client:
                    put_copy(client, stored, folder / content["file"])

            def remove(record: ExportedRecord) -> None:
                with server.asked("an object removed") as client:
                    client.remove_object(collection, record.key)

            yield Put(write, remove=remove)

    def _connected(self) -> S3:
        return S3(self._whole, self._profile.region, WORKERS)

    def _expect_contents(
        self,
        client: Minio,
        package: Package,
        kept: Objects,
        there: Mapping[str, Listing],
        countdown: Countdown,
    ) -> None:
        """Check, before any change, that every content is available: as a copy, or still as a version."""

        def is_gone(stored: StoredObject) -> bool:
            countdown.left()
            item = there.get(stored.bucket, {}).get(stored.key)
            if _copy(stored) in package.files or (item is not None and item.version_id == stored.version):
                return False
            try:
                client.stat_object(stored.bucket, stored.key, version_id=stored.version)
            except S3Error as error:
                if error.code in GONE:
                    return True
                raise
            return False

        gone = list(compress(kept, _parallel(is_gone, kept.values())))
        if gone:
            buckets = ", ".join(sorted({bucket for bucket, _ in gone}))
            raise self._failed(
                "restore",
                expected="the version of every object that the backup lists",
                observed=f"{len(gone)} versions gone, of {buckets}",
                hint="versions were removed since; nothing was changed. Look for a backup with copies",
            )

    def _equalise(
        self,
        client: Minio,
        package: Package,
        bucket: str,
        wanted: Mapping[str, StoredObject],
        listed: Listing,
        seen: Objects,
        countdown: Countdown,
    ) -> list[str]:
        """Make the current objects of `bucket` equal to `wanted`; return notes on the changes."""

        def put_back(stored: StoredObject) -> bool:
            countdown.left()
            item, before = listed.get(stored.key), seen.get((bucket, stored.key))
            if item and before and before.listed_as(item) and before.like(stored):
                return False
            return self._put_back(client, package, stored, item)

        def delete(key: str) -> None:
            countdown.left()
            client.remove_object(bucket, key)

        changed = sum(_parallel(put_back, wanted.values()))
        later = sorted(set(listed) - set(wanted))
        list(_parallel(delete, later))
        sizes = {key: item.size for key, item in _current(client, bucket, countdown).items()}
        expected = {key: stored.size for key, stored in wanted.items()}
        if sizes != expected:
            different = {key for key, _ in sizes.items() ^ expected.items()}
            raise self._not_restored(f"{len(different)} objects that differ", of=f"bucket {bucket}")
        notes = []
        if changed:
            notes.append(f"put back {changed} objects of bucket {bucket}")
        if later:
            notes.append(f"deleted {len(later)} objects of bucket {bucket} that came after the backup")
        return notes

    def _put_back(self, client: Minio, package: Package, stored: StoredObject, item: Object | None) -> bool:
        """Restore one object unless it is unchanged; tell whether that was needed."""
        if item is not None and item.size == stored.size:
            if item.etag == stored.etag:
                if _same(client, stored):
                    return False
            # The same content has another ETag after a multipart upload, and in some unversioned listings.
            elif ("-" in stored.etag or not _has_version(item)) and self._is_there(client, stored):
                return False
        if _copy(stored) in package.files:
            put_copy(client, stored, package.path(_copy(stored)))
        else:
            copy_version(client, stored)
        if not self._is_there(client, stored):
            other = "an object with other content, headers or tags"
            raise self._not_restored(other, of=f"bucket {stored.bucket}")
        return True

    def _is_there(self, client: Minio, kept: StoredObject) -> bool:
        """Read the current object to its end; tell whether it is like the record."""
        return read_object(client, self._whole, kept.bucket, kept.key).like(kept)

    def _keep(
        self, client: Minio, item: Object, contents: Path | None, *, indexed: bool
    ) -> tuple[StoredObject, RecordHash] | None:
        """Read one listed object, into `contents` if that is a folder; return None if it has gone since.

        If `indexed`, its record is that of the reader's account.
        """
        bucket, key = item.bucket_name, _key(item)
        # An object without a version can only be requested as the current one.
        version = item.version_id if _has_version(item) else None
        try:
            with tempfile.NamedTemporaryFile(dir=contents) if contents else nullcontext() as sink:
                found = read_object(client, self._whole, bucket, key, version, sink and sink.file)
                if contents and sink:
                    link(Path(sink.name), contents / found.sha256)
        except S3Error as error:
            # Without versions an object can vanish between the listing and this.
            if error.code == "NoSuchKey" and version is None:
                return None
            raise
        seen = self._reader.seen(found, version) if indexed else found
        stored = replace(found, version=item.version_id, modified=str(item.last_modified))
        return stored, seen.record()


def _listing(package: Package) -> Objects:
    """Return the objects that a backup lists."""
    with open_regular(package.path(LISTING)) as stream:
        found = (StoredObject(**json.loads(line)) for line in stream)
        return {(one.bucket, one.key): one for one in found}


def _as_before(
    client: Minio, item: Object, earlier: Package, before: Objects, contents: Path | None
) -> StoredObject | None:
    """Return the object of an earlier backup that `item` still is, its content linked into `contents`."""
    known = before.get((item.bucket_name, _key(item)))
    if known is None or not known.listed_as(item) or not _same(client, known):
        return None
    if contents:
        if _copy(known) not in earlier.files:
            return None
        link(earlier.path(_copy(known)), contents / known.sha256)
    return known


def _same(client: Minio, kept: StoredObject) -> bool:
    """Return True if the current object has the ETag, headers and tags of `kept`; its content is not read."""
    found = look_at(client, kept.bucket, kept.key)
    return (found.etag, found.headers, found.tags) == (kept.etag, kept.headers, kept.tags)


def _prepare(client: Minio, bucket: str, versioning: str, *, missing: bool) -> list[str]:
    """Make `bucket` exist and keep versions as it did; return notes on the changes."""
    notes = []
    if missing:
        client.make_bucket(bucket)
        notes.append(f"made bucket {bucket}, which was gone")
    observed = versioning_of(client, bucket)
    if observed != versioning:
        # Once a bucket keeps versions, that can only be suspended.
        wanted = "Suspended" if versioning == OFF else versioning
        client.set_bucket_versioning(bucket, VersioningConfig(wanted))
        notes.append(f"versioning of bucket {bucket} was {observed} and is {wanted} again")
    return notes


def _current(client: Minio, bucket: str, countdown: Countdown, *, versions: bool = True) -> dict[str, Object]:
    listed = {}
    for item in client.list_objects(bucket, recursive=True, include_version=versions):
        countdown.left()
        # `is_latest` is text, not a truth value; and a listing without versions does not tell.
        if not versions or (str(item.is_latest).lower() == "true" and not item.is_delete_marker):
            listed[_key(item)] = item
    return listed


def _key(item: Object) -> str:
    return str(item.object_name)


def _has_version(item: Object) -> bool:
    return item.version_id not in {None, NO_VERSION}


def _copy(stored: StoredObject) -> str:
    return f"{CONTENTS}/{stored.sha256}"


def _parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in order; the first exception ends it, and calls that have not begun are not made."""
    with Workers(WORKERS, "s3") as workers:
        yield from workers.in_order(function, items)
