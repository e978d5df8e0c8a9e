"""S3, write side, against a real server."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from minio import Minio
from minio.versioningconfig import SUSPENDED, VersioningConfig

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.stores.profiles import S3Profile
from fixtures.stores.reach import Reach
from fixtures.stores.s3 import View, connect
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import s3 as s3_keeper
from rollback_actions.stores.s3 import Keeper
from rollback_actions.stores.s3_objects import StoredObject, put_copy
from tests.stack.scratch_buckets import erase, make, observe, put, put_expiring, tags
from tests.stack.scratch_stores import changed, expect_damage_refused

BUCKET = "minio-file-scratch-keeper"
PART = 5 * 1024 * 1024


@pytest.fixture
def profile(target: Target) -> S3Profile:
    return changed(cast("S3Profile", target.stores["minio"]), buckets=(BUCKET,), backup="copies")


@pytest.fixture
def endpoint(profile: S3Profile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def client(profile: S3Profile, endpoint: Endpoint) -> Iterator[Minio]:
    client = connect(Reach("minio", endpoint, profile.operator, 60), profile.region, connections=8)
    yield client
    erase(client, BUCKET)


def _fill(client: Minio, *, versioned: bool) -> None:
    make(client, BUCKET, versioned=versioned)
    put(
        client,
        BUCKET,
        "tagged",
        b"text",
        headers={"Foo": "Bar", "Cache-Control": "no-cache"},
        tagged={"a": "b c"},
    )
    put(client, BUCKET, "packed", gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})
    put(client, BUCKET, "typed", b"{}", headers={"Content-Type": "application/json"})
    put(client, BUCKET, "folder/a b+ü%&?.txt", b"")
    # The staging server gives this one no version.
    put(client, BUCKET, "folder/", b"")
    put(client, BUCKET, "twin 1", b"twin")
    put(client, BUCKET, "twin 2", b"twin")
    put(client, BUCKET, "again", b"first")
    put(client, BUCKET, "again", b"second")
    put(client, BUCKET, "gone", b"x")
    client.remove_object(BUCKET, "gone")
    client.put_object(BUCKET, "parts", io.BytesIO(b"p" * (2 * PART + 1)), -1, part_size=PART)


def _untag(client: Minio) -> None:
    client.delete_object_tags(BUCKET, "tagged")


DAMAGE: dict[str, Callable[[Minio], object]] = {
    "content of the same length": lambda c: put(c, BUCKET, "twin 1", b"niwt"),
    "content of another length": lambda c: put(c, BUCKET, "again", b"third time"),
    "an object deleted": lambda c: c.remove_object(BUCKET, "typed"),
    "an object added": lambda c: put(c, BUCKET, "late", b"x"),
    "a deleted object put again": lambda c: put(c, BUCKET, "gone", b"x"),
    "headers lost": lambda c: put(c, BUCKET, "tagged", b"text", tagged={"a": "b c"}),
    "tags lost": _untag,
    "tags added": lambda c: c.set_object_tags(BUCKET, "typed", tags({"z": "1"})),
    "parts of another content": lambda c: c.put_object(
        BUCKET, "parts", io.BytesIO(b"q" * (2 * PART + 1)), -1, part_size=PART
    ),
}


@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "plain"])
@pytest.mark.parametrize("backup", ["copies", "versions"])
def test_a_restore_gives_back_content_headers_and_tags(
    profile: S3Profile,
    endpoint: Endpoint,
    control: ContainerControl,
    client: Minio,
    tmp_path: Path,
    backup: str,
    *,
    versioned: bool,
) -> None:
    _fill(client, versioned=versioned)
    chosen = changed(profile, backup=backup)
    keeper = Keeper("minio", chosen, endpoint, control)
    before = observe(client, BUCKET)
    kept = keeper.back_up(tmp_path)
    assert kept.records == {BUCKET: 9}
    with View("minio", chosen, endpoint) as view:
        assert view.counts() == kept.records
    assert keeper.restore(tmp_path).notes == ()
    for name, damage in DAMAGE.items():
        damage(client)
        assert observe(client, BUCKET) != before, name
        restored = keeper.restore(tmp_path)
        assert observe(client, BUCKET) == before, name
        assert (len(restored.notes), restored.records) == (1, kept.records), name
    assert keeper.restore(tmp_path).notes == ()
    expect_damage_refused(keeper, tmp_path, lambda: observe(client, BUCKET))


def test_a_restore_that_was_killed_is_done_by_the_next(
    profile: S3Profile,
    endpoint: Endpoint,
    control: ContainerControl,
    client: Minio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fill(client, versioned=True)
    before = observe(client, BUCKET)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    for key in ("tagged", "packed", "typed", "twin 1"):
        put(client, BUCKET, key, b"changed")
    put(client, BUCKET, "late", b"x")

    def put_two(client: Minio, kept: StoredObject, content: Path) -> None:
        if kept.key not in {"packed", "typed"}:
            raise KeyboardInterrupt
        put_copy(client, kept, content)

    with monkeypatch.context() as patch:
        patch.setattr(s3_keeper, "put_copy", put_two)
        with pytest.raises(KeyboardInterrupt):
            keeper.restore(tmp_path)
    assert observe(client, BUCKET) != before
    keeper.restore(tmp_path)
    assert observe(client, BUCKET) == before


def test_no_version_is_lost_by_a_restore(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    _fill(client, versioned=True)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    put(client, BUCKET, "late", b"x")
    put(client, BUCKET, "again", b"evidence of what went wrong")

    def versions() -> set[tuple[str | None, str | None]]:
        listed = client.list_objects(BUCKET, recursive=True, include_version=True)
        return {(item.object_name, item.version_id) for item in listed}

    before = versions()
    notes = keeper.restore(tmp_path).notes
    assert before < versions()
    assert notes == (
        f"put back 1 objects of bucket {BUCKET}",
        f"deleted 1 objects of bucket {BUCKET} that came after the backup",
    )


def test_a_moment_of_expiry_comes_back_from_a_version_and_not_from_a_copy(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    make(client, BUCKET, versioned=True)
    put_expiring(client, BUCKET, "expiring")
    before = observe(client, BUCKET)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    put(client, BUCKET, "expiring", b"another")
    keeper.restore(tmp_path)
    assert observe(client, BUCKET) == before
    erase(client, BUCKET)
    with pytest.raises(ActionFailed, match="an object with other content, headers or tags"):
        keeper.restore(tmp_path)


def test_copies_bring_back_a_bucket_that_is_gone(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    _fill(client, versioned=True)
    before = observe(client, BUCKET)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    erase(client, BUCKET)
    notes = keeper.restore(tmp_path).notes
    assert notes[0] == f"made bucket {BUCKET}, which was gone"
    assert observe(client, BUCKET) == before


def test_versioning_is_enabled_again(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    _fill(client, versioned=True)
    before = observe(client, BUCKET)
    keeper = Keeper("minio", profile, endpoint, control)
    keeper.back_up(tmp_path)
    client.set_bucket_versioning(BUCKET, VersioningConfig(SUSPENDED))
    put(client, BUCKET, "again", b"lost")
    keeper.restore(tmp_path)
    assert observe(client, BUCKET) == before


def test_versions_that_were_removed_are_found_out_before_anything_changes(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    _fill(client, versioned=True)
    keeper = Keeper("minio", changed(profile, backup="versions"), endpoint, control)
    keeper.back_up(tmp_path)
    put(client, BUCKET, "late", b"x")
    for item in list(client.list_objects(BUCKET, prefix="again", include_version=True)):
        client.remove_object(BUCKET, "again", item.version_id)
    before = observe(client, BUCKET)
    with pytest.raises(ActionFailed, match=f"1 versions gone, of {BUCKET} "):
        keeper.restore(tmp_path)
    assert observe(client, BUCKET) == before


def test_a_backup_of_other_buckets_is_refused(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    _fill(client, versioned=True)
    Keeper("minio", profile, endpoint, control).back_up(tmp_path)
    other = Keeper("minio", changed(profile, buckets=("scratch-other",)), endpoint, control)
    with pytest.raises(ActionFailed, match="a backup of buckets scratch-other"):
        other.restore(tmp_path)


def test_two_thousand_small_objects_take_seconds(
    profile: S3Profile, endpoint: Endpoint, control: ContainerControl, client: Minio, tmp_path: Path
) -> None:
    make(client, BUCKET, versioned=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(client, BUCKET, f"{number}", b"%d" % number), range(2000)))
    keeper = Keeper("minio", profile, endpoint, control)
    started = time.monotonic()
    assert keeper.back_up(tmp_path).records == {BUCKET: 2000}
    backed_up = time.monotonic()
    keeper.restore(tmp_path)
    restored = time.monotonic()
    # Far above what it takes on an idle machine (3 s and 2 s): it must not be one request after the other.
    assert backed_up - started < 30
    assert restored - backed_up < 30


@pytest.mark.parametrize("backup", ["copies", "versions"])
def test_a_bucket_that_was_dropped_is_kept_as_absent_before_a_restore(
    profile: S3Profile,
    endpoint: Endpoint,
    control: ContainerControl,
    client: Minio,
    tmp_path: Path,
    backup: str,
) -> None:
    _fill(client, versioned=False)
    before = observe(client, BUCKET)
    kept_by = Keeper("minio", changed(profile, backup="copies"), endpoint, control)
    keeper = Keeper("minio", changed(profile, backup=backup), endpoint, control)
    for name in ("backup", "refused", "safety"):
        (tmp_path / name).mkdir()
    kept_by.back_up(tmp_path / "backup")
    erase(client, BUCKET)

    with pytest.raises(Unverifiable, match="NoSuchBucket"):
        keeper.back_up(tmp_path / "refused")
    safe = keeper.keep_safe(tmp_path / "safety")
    assert safe.records == {BUCKET: 0}
    assert f"bucket {BUCKET} is not there" in safe.method
    assert not client.bucket_exists(BUCKET)

    keeper.restore(tmp_path / "backup")
    assert observe(client, BUCKET) == before
    # And back to what was there before it, as far as that takes nothing away for ever.
    keeper.restore(tmp_path / "safety")
    assert list(client.list_objects(BUCKET, recursive=True)) == []
    erase(client, BUCKET)
    assert keeper.restore(tmp_path / "safety").notes == ()
    assert not client.bucket_exists(BUCKET)
