"""S3, read side: the current objects in the profile's buckets, counted by listing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from email.utils import formatdate
from typing import Any

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError

from rollproof.errors import unanswered
from rollproof.stores.contract import Answer
from rollproof.stores.names import Name
from rollproof.stores.reach import Countdown, Reach, Readable, StoreReader
from rollproof.stores.s3.descriptor import S3Profile
from rollproof.system.side_by_side import each

# Limits for `ask`: objects to list, and bytes to read from the first.
ASKED_OBJECTS = 1000
ASKED_BYTES = 1024
# Objects looked for side by side.
WORKERS = 8


def connect(reach: Reach, region: str, connections: int = 1) -> Minio:
    """Return a client that keeps up to `connections` open; it connects with its first request.

    It does not retry, so that every failed request is reported.
    """
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=reach.deadline, read=reach.deadline),
        retries=False,
        maxsize=connections,
        cert_reqs="CERT_REQUIRED",
        ca_certs=reach.endpoint.ca or certifi.where(),
    )
    return Minio(
        endpoint=reach.address,
        access_key=reach.account.user,
        secret_key=reach.account.password.get_secret_value(),
        secure=reach.endpoint.tls,
        region=region,
        http_client=pool,
    )


@contextmanager
def translated(reach: Reach) -> Iterator[None]:
    """Turn the driver's exceptions into `Unverifiable`, in its words, without any that may hold a key."""
    try:
        yield
    # The last two: the answer is not S3, or is nested without end.
    except (MinioException, HTTPError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, S3Error) and error.code == "RequestTimeTooSkewed":
            raise reach.failed(
                f"{error.code}: {error.response.headers.get('Date')} there, {formatdate(usegmt=True)} here",
                expected="the clocks of the store and of this machine to agree",
                hint="synchronise both machines: timedatectl set-ntp true",
            ) from None
        raise reach.failed(
            without_key(error), means=unanswered(error, refused=isinstance(error, S3Error))
        ) from None


@contextmanager
def opened(reach: Reach, region: str) -> Iterator[Minio]:
    """Give a client for a few requests, whose connections are closed at the end."""
    client = connect(reach, region)
    try:
        with translated(reach):
            yield client
    finally:
        close(client)


def close(client: Minio) -> None:
    """Close a client's connections; the SDK has no way to."""
    client._http.clear()  # noqa: SLF001


def holdings(readable: Readable[S3Profile]) -> dict[str, Any]:
    """Return the buckets that the account sees. See `Recognition.holdings`."""
    with opened(readable.reach, readable.profile.region) as client:
        return {"buckets": sorted(bucket.name for bucket in client.list_buckets())}


def without_key(error: Exception) -> Exception | str:
    """Return the error, or its text without object keys: keys, and so paths, may be personal data."""
    if isinstance(error, S3Error):
        # Its message and resource are the server's own words, and may hold the key.
        bucket = error.bucket_name or (error.resource or "").strip("/").partition("/")[0]
        return f"{error.code}{f' of bucket {bucket}' if bucket else ''}"
    if isinstance(error, InvalidResponseError):
        return str(error).partition(", Body: ")[0]
    if isinstance(error, MaxRetryError):
        return str(error.reason or type(error).__name__)
    return error


class S3Reader(StoreReader[S3Profile]):
    """The base of S3's view and content reader: it holds their connections to one server."""

    connections = WORKERS
    """The most connections kept open."""

    def __init__(self, readable: Readable[S3Profile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._client: Minio | None = None

    def close(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            close(self._client)
        self._client = None

    def _open(self) -> Minio:
        if self._client is None:
            self._client = connect(self._reach, self._profile.region, self.connections)
        return self._client


class View(S3Reader):
    """The read side of an S3 server. See `StoreView`."""

    kind = "s3"

    def ask(self) -> Answer:
        """List up to `ASKED_OBJECTS` objects in the first non-empty bucket, and read from the first."""
        countdown = self._reach.start()
        with translated(self._reach):
            client = self._open()
            for bucket in self._profile.buckets:
                names = []
                for item in client.list_objects(bucket, recursive=True):
                    countdown.left()
                    names.append(str(item.object_name))
                    if len(names) == ASKED_OBJECTS:
                        break
                if names:
                    response = client.get_object(bucket, names[0])
                    with closing(response):
                        response.read(ASKED_BYTES)
                        server = response.headers.get("Server", "not named")
                    query = f"list of up to {ASKED_OBJECTS} objects and the first bytes of one"
                    return Answer(query=query, collection=bucket, records=len(names), server=server)
        return Answer("list of objects", self._profile.buckets[0], 0, "not asked")

    def counts(self) -> Mapping[str, int]:
        """Return the number of current objects by bucket, without older versions and deleted objects."""
        countdown = self._reach.start()
        return {bucket: self._count(bucket, countdown) for bucket in sorted(self._profile.buckets)}

    def collections(self) -> Sequence[str]:
        """Return the profile's buckets, there or not, once the server answers. See `CollectionsView`."""
        # To list buckets takes a right that nothing else needs; any answer about one shows a server.
        with translated(self._reach), suppress(S3Error):
            self._open().bucket_exists(self._profile.buckets[0])
        return sorted(self._profile.buckets)

    def count(self, collection: str) -> int:
        """Return the number of current objects of one bucket. See `CollectionsView`."""
        return self._count(collection, self._reach.start())

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the keys of the bucket's current objects, their only names. See `ReferenceView`."""
        self._only_keys(fields, where)
        with translated(self._reach):
            for item in self._open().list_objects(collection, recursive=True):
                yield (str(item.object_name),)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that are keys of current objects."""
        self._only_keys(fields, {})
        countdown = self._reach.start()

        def there(name: Name) -> bool:
            return self._is_there(collection, name[0], countdown)

        return {name for name, found in each(there, names, workers=WORKERS, name="s3").items() if found}

    def _count(self, bucket: str, countdown: Countdown) -> int:
        found = 0
        with translated(self._reach):
            for _ in self._open().list_objects(bucket, recursive=True):
                countdown.left()
                found += 1
        return found

    def _is_there(self, bucket: str, key: str, countdown: Countdown) -> bool:
        countdown.left()
        with translated(self._reach):
            try:
                self._open().stat_object(bucket, key)
            except S3Error as error:
                if error.code in {"NoSuchKey", "MethodNotAllowed"}:  # MethodNotAllowed: it is a delete marker
                    return False
                raise
        return True

    def _only_keys(self, fields: Sequence[str], where: Mapping[str, str]) -> None:
        if tuple(fields) != ("key",) or where:
            raise self._reach.failed(
                f"{', '.join(fields)}" + (f" where {', '.join(where)}" if where else ""),
                expected="a reference at the field key, without a condition",
                hint="an object is known by its key alone: correct the reference in the profile",
            )
