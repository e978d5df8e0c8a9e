"""S3, read side, against a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import cast

import pytest
from minio import Minio
from minio.error import S3Error

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.profiles import S3Profile
from fixtures.stores.reach import Reach
from fixtures.stores.s3 import View, connect
from fixtures.target import Target
from tests.stack.scratch_buckets import erase, make
from tests.stack.scratch_stores import changed, expect_unverifiable, nowhere, silence, with_wrong_password

VERSIONED, PLAIN = "minio-file-scratch-versioned", "minio-file-scratch-plain"


@pytest.fixture
def profile(target: Target) -> S3Profile:
    return changed(cast("S3Profile", target.stores["minio"]), buckets=(VERSIONED, PLAIN))


@pytest.fixture
def endpoint(profile: S3Profile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: S3Profile, endpoint: Endpoint) -> Iterator[Minio]:
    client = connect(Reach("minio", endpoint, profile.operator, 30), profile.region)
    make(client, VERSIONED, versioned=True)
    make(client, PLAIN, versioned=False)
    yield client
    for bucket in (VERSIONED, PLAIN):
        erase(client, bucket)


def test_current_objects_are_counted_and_older_versions_are_not(
    profile: S3Profile, endpoint: Endpoint, scratch: Minio
) -> None:
    for bucket in (VERSIONED, PLAIN):
        for key in ("a", "folder/b", "folder/c ü+&", "a", "gone"):
            scratch.put_object(bucket, key, io.BytesIO(b"text"), 4)
        scratch.remove_object(bucket, "gone")
    with View("minio", profile, endpoint) as view:
        assert view.counts() == {PLAIN: 3, VERSIONED: 3}
        answer = view.ask()
    assert (answer.collection, answer.records) == (VERSIONED, 3)
    assert answer.server


@pytest.mark.usefixtures("scratch")
def test_empty_buckets_are_seen_as_empty(profile: S3Profile, endpoint: Endpoint) -> None:
    with View("minio", profile, endpoint) as view:
        assert view.counts() == {PLAIN: 0, VERSIONED: 0}
        assert view.ask().records == 0


def test_a_bucket_that_is_gone_is_no_answer(profile: S3Profile, endpoint: Endpoint, scratch: Minio) -> None:
    erase(scratch, PLAIN)
    with (
        View("minio", profile, endpoint) as view,
        pytest.raises(Unverifiable, match="NoSuchBucket"),
    ):
        view.counts()


@pytest.mark.usefixtures("scratch")
def test_a_wrong_key_is_no_answer(profile: S3Profile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("minio", with_wrong_password(profile), endpoint), "SignatureDoesNotMatch")


def test_a_closed_port_is_no_answer(profile: S3Profile) -> None:
    closed = nowhere()
    expect_unverifiable(View("minio", profile, closed), "refused", str(closed.port))


def test_silence_ends_at_the_deadline(profile: S3Profile) -> None:
    with silence() as endpoint:
        view = View("minio", changed(with_wrong_password(profile), deadline_seconds=0.3), endpoint)
        expect_unverifiable(view, "within 0.3 s")


def test_the_reader_cannot_write(profile: S3Profile, endpoint: Endpoint, scratch: Minio) -> None:
    reader = connect(Reach("minio", endpoint, profile.reader, 10), profile.region)
    with pytest.raises(S3Error, match="AccessDenied"):
        reader.put_object(VERSIONED, "a", io.BytesIO(b"text"), 4)
    assert not list(scratch.list_objects(VERSIONED))
