"""Faults of the S3 server, in the application's bucket: versions put on top of an object are removed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import SUSPENDED, VersioningConfig

from staging.faults.fault import Fault, Inject, both
from staging.target.operators import Operators, undone

BUCKET, PREFIX = "minio-file", "faults/"
ONE, TWO, ADDED = f"{PREFIX}one", f"{PREFIX}two", f"{PREFIX}added"
_TYPE = "text/plain; charset=utf-8"


def plant(operators: Operators) -> None:
    """Make the faults' own objects; the first has an older version."""
    remove(operators)
    for key, content in ((ONE, b"older"), (ONE, b"one: abc"), (TWO, b"two: abc")):
        _put(operators.s3, key, content)


def remove(operators: Operators) -> None:
    """Remove the faults' own objects, with all their versions."""
    for key, version in _versions(operators.s3, PREFIX):
        operators.s3.remove_object(BUCKET, key, version)


def _put(
    client: Minio,
    key: str,
    content: bytes,
    content_type: str = _TYPE,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    client.put_object(BUCKET, key, io.BytesIO(content), len(content), content_type, dict(metadata or {}))


def _get(client: Minio, key: str) -> bytes:
    with closing(client.get_object(BUCKET, key)) as response:
        content: bytes = response.read()
        response.release_conn()
    return content


def _versions(client: Minio, prefix: str) -> set[tuple[str, str]]:
    listed = client.list_objects(BUCKET, prefix, recursive=True, include_version=True)
    return {(str(item.object_name), str(item.version_id)) for item in listed}


def changed(act: Callable[[Minio, str], object], key: str = "") -> Inject:
    """Return an injection that changes the faults' own objects, or one of the application's, if no `key`.

    Their newer versions are removed at the end, so that the earlier ones are current again.
    """

    @contextmanager
    def inject(operators: Operators) -> Iterator[None]:
        client = operators.s3
        names = (str(item.object_name) for item in client.list_objects(BUCKET, recursive=True))
        name = key or next(name for name in names if not name.startswith(PREFIX))
        prefix = PREFIX if key else name
        before = _versions(client, prefix)

        def remove_newer() -> None:
            for newer, version in _versions(client, prefix) - before:
                client.remove_object(BUCKET, newer, version)

        with undone(remove_newer):
            act(client, name)
            yield

    return inject


def _swap(client: Minio, _: str) -> None:
    one, two = _get(client, ONE), _get(client, TWO)
    _put(client, ONE, two)
    _put(client, TWO, one)


def _rename(client: Minio, key: str) -> None:
    _put(client, key.upper().replace(PREFIX.upper(), PREFIX), _get(client, key))
    client.remove_object(BUCKET, key)


def _flip_a_bit(client: Minio, key: str) -> None:
    content = _get(client, key)
    _put(client, key, content[:-1] + bytes([content[-1] ^ 1]))


def _lose_a_version(operators: Operators) -> None:
    client = operators.s3
    listed = client.list_objects(BUCKET, ONE, include_version=True)
    older = next(item.version_id for item in listed if str(item.is_latest).lower() != "true")
    client.remove_object(BUCKET, ONE, older)


def _versioning(status: str) -> Callable[[Operators], object]:
    return lambda operators: operators.s3.set_bucket_versioning(BUCKET, VersioningConfig(status))


_fault = partial(Fault, "minio")
FAULTS = (
    _fault("object of the same size", "content", BUCKET, changed(_flip_a_bit)),
    _fault("object emptied", "content", BUCKET, changed(lambda client, key: _put(client, key, b""))),
    _fault("objects swapped", "content", BUCKET, changed(_swap, ONE)),
    _fault(
        "older version current",
        "content",
        BUCKET,
        changed(lambda client, key: _put(client, key, b"older"), ONE),
    ),
    _fault(
        "object deleted",
        "references",
        "objects_of_pages",
        changed(lambda client, key: client.remove_object(BUCKET, key)),
    ),
    _fault("object added", "count", BUCKET, changed(lambda client, key: _put(client, key, b"x"), ADDED)),
    _fault("object under another key", "content", BUCKET, changed(_rename, TWO)),
    _fault(
        "content type changed",
        "content",
        BUCKET,
        changed(lambda client, key: _put(client, key, _get(client, key), "application/octet-stream"), ONE),
    ),
    _fault(
        "metadata added",
        "content",
        BUCKET,
        changed(lambda client, key: _put(client, key, _get(client, key), metadata={"migrated": "yes"}), ONE),
    ),
    _fault("versioning suspended", "schema", BUCKET, both(_versioning(SUSPENDED), _versioning(ENABLED))),
    # A version cannot be made again under its old id.
    _fault("version lost", "content", f"versions {BUCKET}", both(_lose_a_version, plant), exact=False),
)
