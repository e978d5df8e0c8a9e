"""One account's way to an S3 server."""

from __future__ import annotations

import json
from typing import ClassVar
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.versioningconfig import OFF
from urllib3.exceptions import HTTPError, MaxRetryError

from rollproof.collection import Json
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


NONE = "none"
DENIED = "denied"
# Settings by name, with the bucket's sub-resource that gives each.
SETTINGS = {
    "lifecycle": "lifecycle",
    "policy": "policy",
    "cors": "cors",
    "encryption": "encryption",
    "tags": "tagging",
    "object_lock": "object-lock",
}
_NOT_SET = frozenset(
    {
        "MethodNotAllowed",
        "NoSuchBucketPolicy",
        "NoSuchCORSConfiguration",
        "NoSuchLifecycleConfiguration",
        "NoSuchObjectLockConfiguration",
        "NoSuchTagSet",
        "NoSuchTagSetError",
        "NotImplemented",
        "ObjectLockConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)


def versioning_of(client: Minio, bucket: str) -> str:
    """Return ``Enabled``, ``Suspended`` or ``Off``."""
    return client.get_bucket_versioning(bucket).status or OFF


def settings_of(client: Minio, bucket: str) -> dict[str, Json]:
    """Return the settings by name; `NONE` if unset or unknown to the server, `DENIED` if refused."""
    found: dict[str, Json] = {"versioning": versioning_of(client, bucket)}
    return found | {name: _setting(client, bucket, resource) for name, resource in SETTINGS.items()}


def _setting(client: Minio, bucket: str, resource: str) -> Json:
    try:
        # The SDK drops elements unknown to its classes, and has no class for CORS.
        answer = client._execute("GET", bucket, query_params={resource: ""})  # noqa: SLF001
    except S3Error as error:
        if error.code in _NOT_SET:
            return NONE
        if error.code == "AccessDenied":
            return DENIED
        raise
    if resource == "policy":
        policy: Json = json.loads(answer.data)
        return policy
    return plain(ET.fromstring(answer.data))  # noqa: S314 - what the target's own server says of its bucket


def plain(element: ET.Element) -> Json:
    """Return an XML element as JSON: its text, or its children by name, sorted.

    Servers that keep rules in a map list them in any order. Where the order matters, rules hold a number.
    """
    children: dict[str, list[Json]] = {}
    for child in element:
        children.setdefault(child.tag.rpartition("}")[2], []).append(plain(child))
    if not children:
        return (element.text or "").strip()
    return {name: sorted(values, key=json.dumps) for name, values in sorted(children.items())}
