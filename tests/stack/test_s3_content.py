"""The content of S3 objects, against a real server: every change is seen, and a restore leaves none."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.versioningconfig import SUSPENDED, VersioningConfig

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.content import Digest, Pace
from fixtures.stores.profiles import S3Profile
from fixtures.stores.reach import Reach
from fixtures.stores.s3 import connect
from fixtures.stores.s3_content import Content
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.s3 import Keeper
from tests.stack.content_reading import expect_parts_are_whole, read
from tests.stack.scratch_buckets import erase, make, put, tags
from tests.stack.scratch_stores import SECRET, changed, nowhere, with_wrong_password

BUCKET = "minio-file-scratch-content"
VERSIONS = f"versions {BUCKET}"
PART = 5 * 1024 * 1024
LARGE = PART + 1
HEADERS = {"Content-Type": "text/plain", "Cache-Control": "no-cache", "Foo": "Bar", "Fo": "oBar"}


@pytest.fixture
def profile(target: Target) -> S3Profile:
    return changed(cast("S3Profile", target.stores["minio"]), buckets=(BUCKET,), backup="copies")


@pytest.fixture
def endpoint(profile: S3Profile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def client(profile: S3Profile, endpoint: Endpoint) -> Iterator[Minio]:
    client = connect(Reach("minio", endpoint, profile.operator, 60), profile.region, connections=8)
    make(client, BUCKET, versioned=True)
    yield client
    erase(client, BUCKET)


@pytest.fixture
def content(profile: S3Profile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("minio", profile, endpoint) as content:
        yield content


def _fill(client: Minio) -> None:
    _fill_small(client)
    client.put_object(BUCKET, "parts", io.BytesIO(b"p" * LARGE), -1, part_size=PART)


def _fill_small(client: Minio) -> None:
    put(client, BUCKET, "all", b"text", headers=HEADERS, tagged={"a": "b c"})
    put(client, BUCKET, "left", b"left side")
    put(client, BUCKET, "right", b"right sid")
    put(client, BUCKET, "empty", b"")
    put(client, BUCKET, "folder/deep/x", b"x")
    put(client, BUCKET, "folder b", b"sorted before the folder, listed after it")


def _all(
    content: bytes = b"text", headers: Mapping[str, str] | None = None, tag: str = "b c"
) -> Callable[[Minio], None]:
    return lambda client: put(
        client, BUCKET, "all", content, headers={**HEADERS, **(headers or {})}, tagged={"a": tag}
    )


def _swap(client: Minio) -> None:
    put(client, BUCKET, "left", b"right sid")
    put(client, BUCKET, "right", b"left side")


def _rename(client: Minio) -> None:
    client.remove_object(BUCKET, "left")
    put(client, BUCKET, "Left", b"left side")


def _zero(client: Minio) -> None:
    client.put_object(BUCKET, "parts", io.BytesIO(bytes(LARGE)), -1, part_size=PART)


DAMAGE: dict[str, tuple[Callable[[Minio], object], dict[str, set[str] | None]]] = {
    "lost": (lambda c: c.remove_object(BUCKET, "left"), {"left": None}),
    "added": (lambda c: put(c, BUCKET, "late", b"x"), {"late": None}),
    "duplicated under another key": (lambda c: put(c, BUCKET, "left ", b"left side"), {"left ": None}),
    "two swapped": (_swap, {"left": {"content"}, "right": {"content"}}),
    "one bit": (_all(b"uext"), {"all": {"content"}}),
    "case": (_all(b"Text"), {"all": {"content"}}),
    "trailing space": (_all(b"text "), {"all": {"content", "size"}}),
    "emptied": (_all(b""), {"all": {"content", "size"}}),
    "case of a key": (_rename, {"left": None, "Left": None}),
    "content type": (_all(headers={"Content-Type": "text/html"}), {"all": {"content_type"}}),
    "header": (_all(headers={"Cache-Control": "no-store"}), {"all": {"headers"}}),
    "metadata": (_all(headers={"Foo": "bar"}), {"all": {"metadata"}}),
    "metadata emptied": (_all(headers={"Foo": ""}), {"all": {"metadata"}}),
    "boundary between name and value": (_all(headers={"Foo": "oBar", "Fo": "Bar"}), {"all": {"metadata"}}),
    "tag": (_all(tag="b  c"), {"all": {"tags"}}),
    "tags lost": (lambda c: c.delete_object_tags(BUCKET, "all"), {"all": {"tags"}}),
    "tag added": (lambda c: c.set_object_tags(BUCKET, "left", tags({"z": ""})), {"left": {"tags"}}),
    "folder emptied": (lambda c: c.remove_object(BUCKET, "folder/deep/x"), {"folder/deep/x": None}),
}


def test_every_change_is_seen_and_named(client: Minio, content: Content) -> None:
    _fill(client)
    before = read(content, BUCKET)
    for name, (damage, expected) in DAMAGE.items():
        damage(client)
        after = read(content, BUCKET)
        assert before.changed(after) == expected, name
        assert after.digests != before.digests, name
        for key in after.records.keys() - before.records.keys():
            client.remove_object(BUCKET, key)
        _fill_small(client)
        # That it is put again, and each time as a new version, is no change.
        assert read(content, BUCKET) == before, name
    _zero(client)
    assert before.changed(read(content, BUCKET)) == {"parts": {"content"}}


def test_how_an_object_came_there_is_no_change(client: Minio, content: Content) -> None:
    _fill(client)
    before = read(content, BUCKET)
    client.put_object(BUCKET, "parts", io.BytesIO(b"p" * LARGE), -1, part_size=2 * PART)
    put(client, BUCKET, "left", b"something else")
    put(client, BUCKET, "left", b"left side")
    put(client, BUCKET, "late", b"x")
    client.remove_object(BUCKET, "late")
    assert read(content, BUCKET) == before


def test_a_restore_leaves_no_difference(
    client: Minio,
    content: Content,
    profile: S3Profile,
    endpoint: Endpoint,
    control: ContainerControl,
    tmp_path: Path,
) -> None:
    _fill(client)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    before, schemas, versions = read(content, BUCKET), content.schemas(), read(content, VERSIONS)
    for name in ("one bit", "lost", "metadata", "tags lost", "added"):
        DAMAGE[name][0](client)
    _zero(client)
    assert read(content, BUCKET) != before
    keeper.restore(tmp_path)
    assert read(content, BUCKET) == before
    assert content.schemas() == schemas
    # Versions only ever come on top.
    assert versions.records.items() < read(content, VERSIONS).records.items()


def test_versions_are_told_apart(client: Minio, content: Content) -> None:
    _fill(client)
    put(client, BUCKET, "left", b"second")
    before = read(content, VERSIONS)
    (first, second) = [key for key in before.records if key.startswith("left?")]
    assert len(before.records) == 8
    client.remove_object(BUCKET, "left")
    marked = read(content, VERSIONS)
    (marker,) = before.changed(marked)
    assert marker.startswith("left?versionId=")
    listed = client.list_objects(BUCKET, prefix="left", include_version=True)
    oldest = next(item for item in listed if not item.is_delete_marker)
    client.remove_object(BUCKET, "left", oldest.version_id)
    gone = f"left?versionId={oldest.version_id}"
    assert gone in {first, second}
    assert marked.changed(read(content, VERSIONS)) == {gone: None}
    # The current objects do not tell: that one was deleted before.
    assert "left" not in read(content, BUCKET).records


def test_any_division_holds_every_record_once(client: Minio, content: Content) -> None:
    _fill(client)
    for key in (
        "a",
        "a/b",
        "a b",
        "a-b",
        "a+b",
        "a%20b",
        "ü",
        "e\u0301",
        "é",
        "日本/語",
        "😀",
        "\uffee",
        "a..b",
        "nl\nx",
    ):
        put(client, BUCKET, key, key.encode())
    put(client, BUCKET, "/led", b"by a slash")
    expect_parts_are_whole(content, BUCKET)
    expect_parts_are_whole(content, VERSIONS)


def test_a_division_outlives_what_it_was_made_of(client: Minio, content: Content) -> None:
    for number in range(10):
        put(client, BUCKET, f"key {number}", b"x")
    division = content.divide(BUCKET, 2)
    assert division == ("", "key 2", "key 4", "key 6", "key 8")
    before = read(content, BUCKET, division)
    put(client, BUCKET, "before", b"x")
    put(client, BUCKET, "key 99", b"x")
    put(client, BUCKET, "zz", b"x")
    client.remove_object(BUCKET, "key 4")
    client.remove_object(BUCKET, "key 5")
    after = read(content, BUCKET, division)
    assert [after.digests[part].records for part in range(5)] == [3, 2, 0, 2, 4]
    assert before.changed(after) == dict.fromkeys(["before", "key 4", "key 5", "key 99", "zz"])


@pytest.mark.usefixtures("client")
def test_an_empty_bucket_has_one_empty_part(content: Content) -> None:
    for collection in (BUCKET, VERSIONS):
        assert content.divide(collection, 100) == ("",)
        assert read(content, collection).digests == {0: Digest(0, 0)}


def test_a_bucket_that_is_gone_is_unverifiable_and_has_no_schema(client: Minio, content: Content) -> None:
    client.remove_bucket(BUCKET)
    assert content.schemas() == {}
    for call in (
        lambda: content.divide(BUCKET, 10),
        lambda: list(content.digest(VERSIONS, ("",), [0], Pace())),
        lambda: list(content.records(BUCKET, ("",), [0], Pace())),
    ):
        with pytest.raises(Unverifiable, match="NoSuchBucket"):
            call()


def test_excluded_fields_are_in_no_hash(
    client: Minio, content: Content, profile: S3Profile, endpoint: Endpoint
) -> None:
    _fill(client)
    chosen = changed(profile, exclude={BUCKET: ("metadata", "content"), VERSIONS: ("etag",)})
    with Content("minio", chosen, endpoint) as blind:
        before, whole = read(blind, BUCKET), read(content, BUCKET)
        versions = read(blind, VERSIONS)
        assert before.records["all"].fields.keys() == {"size", "content_type", "headers", "tags"}
        assert versions.records.keys() == read(content, VERSIONS).records.keys()
        assert versions.digests != read(content, VERSIONS).digests
        _all(b"niwt", {"Foo": "bar"})(client)
        assert read(blind, BUCKET) == before
        assert whole.changed(read(content, BUCKET)) == {"all": {"content", "metadata"}}
        _all(b"niwt", {"Content-Type": "text/html"})(client)
        assert before.changed(read(blind, BUCKET)) == {"all": {"content_type"}}


def test_settings_of_a_bucket_are_seen(
    client: Minio, content: Content, profile: S3Profile, endpoint: Endpoint
) -> None:
    # The staging reader may read some of them only.
    assert content.schemas()[BUCKET] == {
        "versioning": "Enabled",
        "lifecycle": "none",
        "policy": "none",
        "cors": "none",
        "encryption": "denied",
        "tags": "denied",
        "object_lock": "denied",
    }
    with Content("minio", changed(profile, reader=profile.operator), endpoint) as trusted:
        seen = [trusted.schemas()]
        assert "denied" not in str(seen)
        rule = Rule(ENABLED, rule_id="old", rule_filter=Filter(prefix="old/"), expiration=Expiration(days=9))
        client.set_bucket_tags(BUCKET, tags({"a": "b"}))
        seen.append(trusted.schemas())
        client.set_bucket_lifecycle(BUCKET, LifecycleConfig([rule]))
        seen.append(trusted.schemas())
        client.set_bucket_policy(
            BUCKET,
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",'
            f' "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{BUCKET}/*"}}]}}',
        )
        seen.append(trusted.schemas())
        client.set_bucket_versioning(BUCKET, VersioningConfig(SUSPENDED))
        seen.append(trusted.schemas())
        assert trusted.schemas() == seen[-1]
        assert [before != after for before, after in pairwise(seen)] == [True] * 4
        assert seen[-1][VERSIONS] == {"versioning": "Suspended"}


def test_a_bucket_without_versions_has_one_collection(client: Minio, content: Content) -> None:
    make(client, BUCKET, versioned=False)
    assert list(content.schemas()) == [BUCKET]


def test_a_reading_can_be_stopped(client: Minio, content: Content) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(client, BUCKET, f"{number:04}", b"%d" % number), range(400)))
    division = content.divide(BUCKET, 10)
    reading = content.digest(BUCKET, division, range(len(division)), Pace())
    assert next(reading)[1].records == 10
    reading.close()  # type: ignore[attr-defined]
    assert sum(d.records for d in read(content, BUCKET, division).digests.values()) == 400


@pytest.mark.usefixtures("client")
def test_refusal_and_an_empty_address_are_unverifiable(profile: S3Profile, endpoint: Endpoint) -> None:
    hasty = changed(profile, deadline_seconds=2.0)
    for refused in (
        Content("minio", with_wrong_password(hasty), endpoint),
        Content("minio", hasty, nowhere()),
    ):
        with refused:
            with pytest.raises(Unverifiable) as schemas:
                refused.schemas()
            with pytest.raises(Unverifiable) as digest:
                list(refused.digest(BUCKET, ("",), [0], Pace()))
            assert SECRET not in f"{schemas.value} {digest.value}"
