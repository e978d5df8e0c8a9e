"""S3 alone: versions, settings that a reader may not read, and buckets that come and go."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from inspect import unwrap

import minio
import pytest

from fixtures import stores
from rollproof.baseline.demands import lost_sight, require_whole_sight
from rollproof.baseline.facts import RecordedContent
from rollproof.contract.subject import read
from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.reader import Reader
from rollproof.stores.s3.descriptor import VERSIONS
from tests.stack.scratch_buckets import make, put, tags
from tests.stack.stores.s3 import BUCKET, PLAIN, S3, SET, SHAPED

STORES = ("s3",)
pytestmark = pytest.mark.usefixtures("mended")


def test_versions_are_told_apart(subject: S3, content: Reader) -> None:
    make(subject.client, SHAPED, versioned=True)
    for key, text in (("other", b"x"), ("left", b"left side"), ("left", b"second")):
        put(subject.client, SHAPED, key, text)
    versions = f"{VERSIONS}{SHAPED}"
    before = read(content, versions)
    (first, second) = [key for key in before.records if key.startswith("left?")]
    assert len(before.records) == 3
    subject.client.remove_object(SHAPED, "left")
    marked = read(content, versions)
    (marker,) = before.changed(marked)
    assert marker.startswith("left?versionId=")
    listed = subject.client.list_objects(SHAPED, prefix="left", include_version=True)
    oldest = next(item for item in listed if not item.is_delete_marker)
    subject.client.remove_object(SHAPED, "left", oldest.version_id)
    gone = f"left?versionId={oldest.version_id}"
    assert gone in {first, second}
    assert marked.changed(read(content, versions)) == {gone: None}
    # The current objects do not tell: that one was deleted before.
    assert "left" not in read(content, SHAPED).records


def test_versions_only_ever_come_on_top(subject: S3, content: Reader) -> None:
    before = read(content, f"{VERSIONS}{BUCKET}")
    for change in ("one bit", "lost"):
        subject.make(change)
    subject.mend()
    assert before.records.items() < read(content, f"{VERSIONS}{BUCKET}").records.items()


def test_a_bucket_without_versions_has_one_collection(subject: S3) -> None:
    with subject.reader(buckets=(PLAIN,)) as content:
        assert list(content.schemas()) == [PLAIN]


def test_settings_that_the_reader_may_not_read_are_told(subject: S3, content: Reader) -> None:
    assert content.schemas()[SET] == {
        "versioning": "Enabled",
        "lifecycle": "none",
        "policy": "none",
        "cors": "none",
        "encryption": "denied",
        "tags": "denied",
        "object_lock": "denied",
    }
    with subject.reader(reader=getattr(subject.profile, "operator")) as trusted:  # noqa: B009 - not every profile has one
        before = trusted.schemas()
        assert "denied" not in str(before)
        seen = require_whole_sight(trusted, lambda: before)
        assert f"tags of {SET}" in seen
        recorded = RecordedContent(before, {}, {}, (), seen)
        assert lost_sight(trusted, lambda: before, recorded) == []
        assert f"tags of {SET}, which it saw at the capture" in lost_sight(content, content.schemas, recorded)
        subject.client.set_bucket_tags(SET, tags({"a": "b"}))
        try:
            assert trusted.schemas() != before
            subject.schema_changes["versioning"](subject)
            assert trusted.schemas()[f"{VERSIONS}{SET}"] == {"versioning": "Suspended"}
        finally:
            subject.undefine()


def test_a_clock_that_is_off_is_no_store_that_is_down(monkeypatch: pytest.MonkeyPatch, subject: S3) -> None:
    """The server itself refuses what a machine signs whose clock is an hour ahead."""
    monkeypatch.setattr(minio.time, "utcnow", lambda: datetime.now(UTC) + timedelta(hours=1))
    with (
        closing(subject.reader()) as view,
        pytest.raises(Unverifiable, match="RequestTimeTooSkewed") as skewed,
    ):
        view.ask()
    with pytest.raises(Unverifiable, match="RequestTimeTooSkewed"):
        unwrap(stores.stores_down)({subject.store: skewed.value})
    gone = Unverifiable(
        what="x", expected="y", observed="none", source="z", hint="", means=Meaning.UNREACHABLE
    )
    assert unwrap(stores.stores_down)({"gone": gone, subject.store: skewed.value}) == ["gone (none)"]
