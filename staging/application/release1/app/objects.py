"""Originals, in S3."""

import io
from datetime import UTC, datetime, timedelta

from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from app.connections import s3
from app.settings import settings


def create_bucket() -> None:
    """Create the versioned bucket; an existing bucket keeps its settings."""
    bucket = settings().s3_bucket
    if not s3().bucket_exists(bucket):
        s3().make_bucket(bucket)
        s3().set_bucket_versioning(bucket, VersioningConfig(ENABLED))


def put(key: str, content: bytes) -> None:
    """Store an original.

    Raises:
        minio.error.S3Error: There is no bucket, or the store refuses.
    """
    s3().put_object(settings().s3_bucket, key, io.BytesIO(content), len(content), "text/plain; charset=utf-8")


def get(key: str) -> bytes:
    """Return an original.

    Raises:
        minio.error.S3Error: There is none.
    """
    response = s3().get_object(settings().s3_bucket, key)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def remove(key: str) -> None:
    """Remove an original; its versions stay."""
    s3().remove_object(settings().s3_bucket, key)


def url(key: str, at: datetime | None = None) -> str:
    """Return a signed address of an original, valid for seven days; it is bound to the server and the key."""
    return s3().presigned_get_object(
        settings().s3_bucket, key, expires=timedelta(days=7), request_date=at or datetime.now(UTC)
    )
