"""An S3 bucket's settings, as far as the server tells the reader."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import OFF

from rollproof.collection import Json

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
