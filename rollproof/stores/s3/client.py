"""S3, read side: the current objects in the profile's buckets, counted by listing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError

from rollproof.errors import unanswered
from rollproof.stores.reach import Reach, Readable
from rollproof.stores.s3.descriptor import S3Profile

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
