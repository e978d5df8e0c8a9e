"""S3, write side: the current objects of the profile's buckets, with what their headers and tags say.

A backup lists every current object with its version and the SHA-256 of its content, and holds the contents,
each once, named by that SHA-256. With ``backup = "versions"`` it holds only those of objects that have no
version. A restore removes no version: what changed gets its old content again as a new version, and what came
later gets a delete marker, where the bucket keeps versions.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from minio import Minio
from minio.datatypes import Object
from minio.error import S3Error
from minio.versioningconfig import OFF, VersioningConfig

from fixtures.engines.engine import Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.profiles import S3Profile
from fixtures.stores.reach import Countdown, Reach
from fixtures.stores.s3 import connect, translated
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.keeper import Kept, Restored
from rollback_actions.stores.package import Package, create_file, read_package, write_package
from rollback_actions.stores.s3_objects import (
    NO_VERSION,
    UNSENDABLE,
    StoredObject,
    copy_version,
    put_copy,
    read_object,
    same_headers,
)

LISTING = "objects.jsonl"
CONTENTS = "contents"
WORKERS = 16
# Contents up to this size are sent from the backup even where the server still has their version.
SENT_BYTES = 64 * 1024
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})

Item = TypeVar("Item")
Result = TypeVar("Result")
# The current objects of a bucket by key, as the server lists them; None for a bucket that is not there.
Listing = Mapping[str, Object]


class Keeper:
    """The write side of an S3 server. See `StoreKeeper`. `deadline` is in seconds, for a whole call."""

    kind = "s3"

    def __init__(
        self,
        name: str,
        profile: S3Profile,
        endpoint: Endpoint,
        control: ContainerControl,
        *,
        deadline: float = 600.0,
    ) -> None:
        """Remember how to connect; `control` is not needed, since everything goes through the server."""
        self.name = name
        self._profile = profile
        self._reach = Reach(name, endpoint, profile.operator, deadline)

    def back_up(self, folder: Path) -> Kept:
        """Read every current object; write the listing, and the contents that have to be kept here."""
        return self._back_up(folder, absent_too=False)

    def keep_safe(self, folder: Path) -> Kept:
        """As `back_up`; a bucket that is gone is kept as absent."""
        return self._back_up(folder, absent_too=True)

    def _back_up(self, folder: Path, *, absent_too: bool) -> Kept:
        countdown = self._reach.start()
        contents = folder / CONTENTS
        contents.mkdir(mode=0o700)
        records: dict[str, int] = {}
        versioning: dict[str, str] = {}
        absent: list[str] = []
        with translated(self._reach), create_file(folder / LISTING) as stream:
            client = self._connect()
            for bucket in self._profile.buckets:
                if absent_too and not client.bucket_exists(bucket):
                    absent.append(bucket)
                    versioning[bucket], records[bucket] = OFF, 0
                    continue
                versioning[bucket] = client.get_bucket_versioning(bucket).status or OFF
                listed = _current(client, bucket, countdown, versions=versioning[bucket] != OFF)

                def keep(item: Object) -> StoredObject | None:
                    countdown.left()
                    copied = self._profile.backup == "copies" or not _has_version(item)
                    return _keep(client, item, contents if copied else None)

                kept = [stored for stored in _parallel(keep, listed.values()) if stored]
                stream.writelines(json.dumps(asdict(stored)).encode() + b"\n" for stored in kept)
                records[bucket] = len(kept)
        what = (
            "and a copy of each"
            if self._profile.backup == "copies"
            else "whose contents are the bucket's own versions (a copy of those that have none)"
        )
        return write_package(
            folder,
            kind=self.kind,
            method=f"listing of all objects with versions and SHA-256, {what}"
            + "".join(f"; bucket {bucket} is not there" for bucket in absent),
            records=records,
            details={"backup": self._profile.backup, "versioning": versioning, "absent": absent},
        )

    def restore(self, folder: Path) -> Restored:
        """Give every object of the backup its content, headers and tags again; delete what came after."""
        package = read_package(folder, kind=self.kind)
        self._check(package)
        countdown = self._reach.start()
        notes: list[str] = []
        kept: dict[str, dict[str, StoredObject]] = {bucket: {} for bucket in self._profile.buckets}
        with package.path(LISTING).open("rb") as stream:
            for line in stream:
                stored = StoredObject(**json.loads(line))
                kept[stored.bucket][stored.key] = stored
        with translated(self._reach):
            client = self._connect()
            there = {
                bucket: _current(client, bucket, countdown) if client.bucket_exists(bucket) else None
                for bucket in kept
            }
            self._expect_contents(client, package, kept, there, countdown)
            for bucket, wanted in kept.items():
                recorded = package.details["versioning"][bucket]
                if bucket in package.details.get("absent", ()):
                    # Emptied, not removed: its versions are nobody's but its owner's to remove.
                    if there[bucket] is not None:
                        notes += self._equalise(client, package, bucket, {}, there[bucket] or {}, countdown)
                    continue
                notes += _prepare(client, bucket, recorded, missing=there[bucket] is None)
                notes += self._equalise(client, package, bucket, wanted, there[bucket] or {}, countdown)
        return Restored(records=package.records, notes=tuple(notes))

    def _connect(self) -> Minio:
        return connect(self._reach, self._profile.region, WORKERS)

    def _check(self, package: Package) -> None:
        kept = sorted(package.details["versioning"])
        if kept != sorted(self._profile.buckets):
            raise ActionFailed(
                what=f"restore of store {self.name}",
                expected=f"a backup of buckets {', '.join(sorted(self._profile.buckets))}",
                observed=f"one of {', '.join(kept)}",
                source=str(package.folder),
                hint="this backup belongs to another target, or the profile has changed since",
            )

    def _expect_contents(
        self,
        client: Minio,
        package: Package,
        kept: Mapping[str, Mapping[str, StoredObject]],
        there: Mapping[str, Listing | None],
        countdown: Countdown,
    ) -> None:
        """See, before anything is changed, that every content is there: as a copy, or still as a version."""

        def is_gone(stored: StoredObject) -> StoredObject | None:
            countdown.left()
            if _copy(stored) in package.files:
                return None
            item = (there[stored.bucket] or {}).get(stored.key)
            if item is not None and item.version_id == stored.version:
                return None
            try:
                client.stat_object(stored.bucket, stored.key, version_id=stored.version)
            except S3Error as error:
                if error.code in GONE:
                    return stored
                raise
            return None

        every = [stored for objects in kept.values() for stored in objects.values()]
        gone = [stored for stored in _parallel(is_gone, every) if stored]
        if gone:
            buckets = ", ".join(sorted({stored.bucket for stored in gone}))
            raise ActionFailed(
                what=f"restore of store {self.name}",
                expected="the version of every object that the backup lists",
                observed=f"{len(gone)} versions gone, of {buckets}",
                source=self._reach.address,
                hint="versions were removed since; nothing was changed. Look for a backup with copies",
            )

    def _equalise(
        self,
        client: Minio,
        package: Package,
        bucket: str,
        wanted: Mapping[str, StoredObject],
        listed: Listing,
        countdown: Countdown,
    ) -> list[str]:
        """Make the current objects of `bucket` equal to `wanted`; return notes of what that took."""

        def put_back(stored: StoredObject) -> bool:
            countdown.left()
            return self._put_back(client, package, stored, listed.get(stored.key))

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
            raise self._not_restored(bucket, f"{len(sizes)} objects, of which {len(different)} differ")
        notes = []
        if changed:
            notes.append(f"put back {changed} objects of bucket {bucket}")
        if later:
            notes.append(f"deleted {len(later)} objects of bucket {bucket} that came after the backup")
        return notes

    def _put_back(self, client: Minio, package: Package, stored: StoredObject, item: Object | None) -> bool:
        """Give one object back unless it is there as it was; tell whether that was needed."""
        if item is not None and item.size == stored.size:
            if item.etag == stored.etag:
                if same_headers(client, stored):
                    return False
            # The same content has another ETag after a multipart upload, and in some listings of no version.
            elif ("-" in stored.etag or not _has_version(item)) and read_object(
                client, stored.bucket, stored.key
            ).like(stored):
                return False
        copied = _copy(stored) in package.files
        # To send a small content takes one request, to copy its version inside the server takes two.
        sent = copied and stored.size <= SENT_BYTES and UNSENDABLE not in stored.headers
        if not sent and self._copied_version(client, stored):
            return True
        if copied:
            put_copy(client, stored, package.path(_copy(stored)))
        if not read_object(client, stored.bucket, stored.key).like(stored):
            raise self._not_restored(stored.bucket, "an object with other content, headers or tags")
        return True

    @staticmethod
    def _copied_version(client: Minio, stored: StoredObject) -> bool:
        """Copy the recorded version; tell whether it was still there and is what was recorded."""
        if stored.version in {None, NO_VERSION}:
            return False
        try:
            copy_version(client, stored)
        except S3Error as error:
            if error.code in GONE:
                return False
            raise
        return read_object(client, stored.bucket, stored.key).like(stored)

    def _not_restored(self, bucket: str, observed: str) -> ActionFailed:
        return ActionFailed(
            what=f"restore of bucket {bucket} of store {self.name}",
            expected="the objects of the backup",
            observed=observed,
            source=self._reach.address,
            hint="the store is neither old nor new: stop everything that writes to it, and restore again",
        )


def _prepare(client: Minio, bucket: str, versioning: str, *, missing: bool) -> list[str]:
    """See that `bucket` is there and keeps versions as it did; return notes of what that took."""
    notes = []
    if missing:
        client.make_bucket(bucket)
        notes.append(f"made bucket {bucket}, which was gone")
    observed = client.get_bucket_versioning(bucket).status or OFF
    if observed != versioning:
        # What once kept versions can only be suspended.
        wanted = "Suspended" if versioning == OFF else versioning
        client.set_bucket_versioning(bucket, VersioningConfig(wanted))
        notes.append(f"versioning of bucket {bucket} was {observed} and is {wanted} again")
    return notes


def _current(client: Minio, bucket: str, countdown: Countdown, *, versions: bool = True) -> dict[str, Object]:
    listed = {}
    for item in client.list_objects(bucket, recursive=True, include_version=versions):
        countdown.left()
        # Text, not a truth value; and a listing without versions does not tell.
        if not versions or (str(item.is_latest).lower() == "true" and not item.is_delete_marker):
            listed[str(item.object_name)] = item
    return listed


def _has_version(item: Object) -> bool:
    return item.version_id not in {None, NO_VERSION}


def _copy(stored: StoredObject) -> str:
    return f"{CONTENTS}/{stored.sha256}"


def _keep(client: Minio, item: Object, contents: Path | None) -> StoredObject | None:
    """Read one listed object, into `contents` if that is a folder; None when it has gone since."""
    bucket, key = item.bucket_name, str(item.object_name)
    try:
        if contents is None:
            return read_object(client, bucket, key, item.version_id)
        with tempfile.NamedTemporaryFile(dir=contents) as sink:
            stored = read_object(client, bucket, key, item.version_id, sink.file)
            with suppress(FileExistsError):  # another object has the same content
                os.link(sink.name, contents / stored.sha256)
            return stored
    except S3Error as error:
        # Without versions an object can go between the listing and this.
        if error.code == "NoSuchKey" and not _has_version(item):
            return None
        raise


def _parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in order; the first exception ends it, and what was not begun is not done."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="s3") as pool:
        yield from pool.map(function, items)
