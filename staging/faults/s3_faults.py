"""Faults of the S3 server, in the application's bucket: versions put on top of an object are removed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from minio import Minio
from minio.commonconfig import ENABLED, Tags
from minio.versioningconfig import SUSPENDED, VersioningConfig

from staging.faults.fault import Register
from staging.target.operators import Operators, undone

fault = Register("minio")
BUCKET, PREFIX = "minio-file", "faults/"
VERSIONS = f"versions {BUCKET}"
ONE, TWO, TAGGED = f"{PREFIX}one", f"{PREFIX}two", f"{PREFIX}tagged"
_TYPE = "text/plain; charset=utf-8"


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own objects; the first has an older version."""
    client = operators.s3

    def remove() -> None:
        for item in list(client.list_objects(BUCKET, PREFIX, recursive=True, include_version=True)):
            client.remove_object(BUCKET, str(item.object_name), item.version_id)

    remove()
    with undone(remove):
        for key, content in ((ONE, b"older"), (ONE, b"one: abc"), (TWO, b"two: abc")):
            _put(client, key, content)
        tags = Tags.new_object_tags()
        tags["kind"] = "original"
        made = client.put_object(BUCKET, TAGGED, io.BytesIO(b"x"), 1, _TYPE, tags=tags)
        del made
        yield


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


def _versions(client: Minio, key: str) -> set[str]:
    listed = client.list_objects(BUCKET, key, recursive=True, include_version=True)
    return {str(item.version_id) for item in listed if item.object_name == key}


@contextmanager
def _kept(operators: Operators, *keys: str) -> Iterator[Minio]:
    """At the end, remove the objects' newer versions, so that the earlier ones are current again."""
    client = operators.s3
    before = {key: _versions(client, key) for key in keys}

    def remove() -> None:
        for key, versions in before.items():
            for version in _versions(client, key) - versions:
                client.remove_object(BUCKET, key, version)

    with undone(remove):
        yield client


def _original(client: Minio) -> str:
    """Return the key of one of the application's objects."""
    listed = client.list_objects(BUCKET, recursive=True)
    return next(str(i.object_name) for i in listed if not str(i.object_name).startswith(PREFIX))


@fault.content(BUCKET)
def object_of_the_same_size(operators: Operators) -> Iterator[None]:
    """An object has other content of the same size: one bit is another."""
    key = _original(operators.s3)
    with _kept(operators, key) as client:
        content = _get(client, key)
        _put(client, key, content[:-1] + bytes([content[-1] ^ 1]))
        yield


@fault.content(BUCKET)
def object_emptied(operators: Operators) -> Iterator[None]:
    """An object is empty."""
    key = _original(operators.s3)
    with _kept(operators, key) as client:
        _put(client, key, b"")
        yield


@fault.content(BUCKET)
def objects_swapped(operators: Operators) -> Iterator[None]:
    """Two objects of the same size have each other's content."""
    with _kept(operators, ONE, TWO) as client:
        one, two = _get(client, ONE), _get(client, TWO)
        _put(client, ONE, two)
        _put(client, TWO, one)
        yield


@fault.content(BUCKET)
def older_version_current(operators: Operators) -> Iterator[None]:
    """An object's older version is its current one."""
    with _kept(operators, ONE) as client:
        _put(client, ONE, b"older")
        yield


@fault.references("objects_of_pages")
def object_deleted(operators: Operators) -> Iterator[None]:
    """An object that pages name is behind a delete marker."""
    key = _original(operators.s3)
    with _kept(operators, key) as client:
        client.remove_object(BUCKET, key)
        yield


@fault.count(BUCKET)
def object_added(operators: Operators) -> Iterator[None]:
    """One object is there that was not."""
    with _kept(operators, f"{PREFIX}added") as client:
        _put(client, f"{PREFIX}added", b"x")
        yield


@fault.content(BUCKET)
def object_under_another_key(operators: Operators) -> Iterator[None]:
    """An object lies under a key in other case: the count is as before."""
    with _kept(operators, TWO, TWO.upper()) as client:
        _put(client, TWO.upper(), _get(client, TWO))
        client.remove_object(BUCKET, TWO)
        yield


@fault.content(BUCKET)
def content_type_changed(operators: Operators) -> Iterator[None]:
    """An object has another content type."""
    with _kept(operators, ONE) as client:
        _put(client, ONE, _get(client, ONE), "application/octet-stream")
        yield


@fault.content(BUCKET)
def metadata_added(operators: Operators) -> Iterator[None]:
    """An object has metadata that it did not have."""
    with _kept(operators, ONE) as client:
        _put(client, ONE, _get(client, ONE), metadata={"migrated": "yes"})
        yield


@fault.schema(BUCKET)
def versioning_suspended(operators: Operators) -> Iterator[None]:
    """The bucket keeps no more versions."""
    client = operators.s3
    with undone(lambda: client.set_bucket_versioning(BUCKET, VersioningConfig(ENABLED))):
        client.set_bucket_versioning(BUCKET, VersioningConfig(SUSPENDED))
        yield


@fault.content(VERSIONS, exact=False)
def version_lost(operators: Operators) -> Iterator[None]:
    """An older version of an object is gone; the object itself is as before."""
    client = operators.s3
    listed = client.list_objects(BUCKET, ONE, include_version=True)
    older = next(i.version_id for i in listed if i.object_name == ONE and str(i.is_latest).lower() != "true")

    # A version cannot be rebuilt under its old id: rebuild the whole object as it was at the beginning.
    def make_again() -> None:
        for version in _versions(client, ONE):
            client.remove_object(BUCKET, ONE, version)
        for content in (b"older", b"one: abc"):
            _put(client, ONE, content)

    with undone(make_again):
        client.remove_object(BUCKET, ONE, older)
        yield
