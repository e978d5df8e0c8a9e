"""The rights of an account at an S3 server: it is asked to complete an upload that nobody has begun."""

from __future__ import annotations

import uuid

from minio import Minio
from minio.datatypes import Part
from minio.error import S3Error

from rollproof.stores.contract import Rights
from rollproof.stores.reach import Readable
from rollproof.stores.s3.descriptor import S3Profile
from rollproof.stores.s3.view import opened

_DENIED = "AccessDenied"
_NOT_BEGUN = "NoSuchUpload"


def rights(readable: Readable[S3Profile]) -> Rights:
    """Return whether the account may put objects into the profile's buckets. See `Descriptor.rights`.

    S3 tells no account its policy. To complete an upload needs the right to put an object, which is checked
    before the upload is looked for.
    """
    profile = readable.profile
    with opened(readable.reach, profile.region) as client:
        may = {f"PutObject into {bucket}": _may_put(client, bucket) for bucket in profile.buckets}
    return Rights(
        tuple(name for name, held in may.items() if held),
        tuple(name for name, held in may.items() if not held),
    )


def _may_put(client: Minio, bucket: str) -> bool:
    nothing = uuid.uuid4().hex
    try:
        # A part, since some servers look at the list first.
        client._complete_multipart_upload(bucket, f"rollproof-{nothing}", nothing, [Part(1, nothing)])  # noqa: SLF001
    except S3Error as error:
        if error.code == _DENIED:
            return False
        if error.code != _NOT_BEGUN:
            raise
    return True
