"""One account's way to an S3 server."""

from __future__ import annotations

from typing import ClassVar
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError

from rollproof.stores.client import Client
from rollproof.stores.reach import Reach


class S3(Client[Minio]):
    """One account's way to an S3 server, over up to `connections` at a time; threads share it.

    It does not retry, so that every failed request is reported.
    """

    # The last three: the answer is not S3, is no XML, or is nested without end.
    errors: ClassVar = (MinioException, HTTPError, ValueError, ParseError, RecursionError)

    def __init__(self, reach: Reach, region: str, connections: int = 1) -> None:
        """Keep the access data."""
        super().__init__(reach)
        self._region, self._connections = region, connections

    def connect(self) -> Minio:
        """Return a client; it connects with its first request."""
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=self.reach.deadline, read=self.reach.deadline),
            retries=False,
            maxsize=self._connections,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self.reach.endpoint.ca or certifi.where(),
        )
        return Minio(
            endpoint=self.reach.address,
            access_key=self.reach.account.user,
            secret_key=self.reach.account.password.get_secret_value(),
            secure=self.reach.endpoint.tls,
            region=self._region,
            http_client=pool,
        )

    def disconnect(self, driver: Minio) -> None:
        """Close a client's connections; the SDK has no way to."""
        driver._http.clear()  # noqa: SLF001

    def words(self, error: Exception) -> str:
        """Return what went wrong without object keys: keys, and so paths, may be personal data."""
        if isinstance(error, S3Error):
            # Its message and resource are the server's own words, and may hold the key.
            bucket = error.bucket_name or (error.resource or "").strip("/").partition("/")[0]
            of_bucket = f" of bucket {bucket}" if bucket else ""
            return f"{error.code}{of_bucket}"
        if isinstance(error, InvalidResponseError):
            return str(error).partition(", Body: ")[0]
        if isinstance(error, MaxRetryError):
            return str(error.reason or type(error).__name__)
        return super().words(error)

    def refused(self, error: Exception) -> bool:
        """Return whether the server said so."""
        return isinstance(error, S3Error)
