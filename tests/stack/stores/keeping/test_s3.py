"""What is true of S3 alone: versions are neither lost nor trusted, and objects travel side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from minio.versioningconfig import SUSPENDED, VersioningConfig

from rollproof.errors import ActionFailed
from rollproof.stores.s3 import keeper as s3_keeper
from rollproof.stores.s3.objects import read_object
from rollproof.stores.s3.reader import OBJECTS
from tests.stack.scratch_buckets import erase, put
from tests.stack.stores.keeping.records import exported, wanted_of
from tests.stack.stores.place import Backup
from tests.stack.stores.s3 import KEPT, S3

pytestmark = pytest.mark.of("s3")


@pytest.fixture
def empty(subject: S3) -> S3:
    subject.wipe()
    return subject


def _export(
    subject: S3, folder: Path, collection: str = KEPT, keys: Sequence[str] | None = None
) -> dict[str, Mapping[str, Any]]:
    """Export records of `collection`; return what they hold, by key."""
    with subject.place.content() as content, subject.place.export() as export:
        found = exported(export, collection, wanted_of(content, collection, keys=keys), folder)
    return {record.key: cast("Mapping[str, Any]", record.content) for record in found}


# The export.


def test_what_was_read_of_an_object_that_changed_is_not_kept(empty: S3, tmp_path: Path) -> None:
    for key in ("gone", "changed", "same"):
        put(empty.client, KEPT, key, key.encode())
    with empty.place.content() as content, empty.place.export() as export:
        wanted = wanted_of(content, KEPT)
        empty.client.remove_object(KEPT, "gone")
        put(empty.client, KEPT, "changed", b"another")
        (record,) = exported(export, KEPT, wanted, tmp_path)
    assert [file.read_bytes() for file in (tmp_path / OBJECTS).iterdir()] == [b"same"]
    assert record.key == "same"


# The keeper.


def test_no_version_is_lost_by_a_restore(subject: S3, kept: Backup) -> None:
    put(subject.client, KEPT, "late", b"x")
    put(subject.client, KEPT, "again", b"evidence of what went wrong")

    def versions() -> set[tuple[str | None, str | None]]:
        listed = subject.client.list_objects(KEPT, recursive=True, include_version=True)
        return {(item.object_name, item.version_id) for item in listed}

    before = versions()
    notes = kept.keeper.restore(kept.folder).notes
    assert before < versions()
    assert notes == (
        f"put back 1 objects of bucket {KEPT}",
        f"deleted 1 objects of bucket {KEPT} that came after the backup",
    )


def test_copies_bring_back_a_bucket_that_is_gone_and_one_that_is_suspended(subject: S3, kept: Backup) -> None:
    erase(subject.client, KEPT)
    assert kept.keeper.restore(kept.folder).notes[0] == f"made bucket {KEPT}, which was gone"
    assert subject.observe() == kept.before
    subject.client.set_bucket_versioning(KEPT, VersioningConfig(SUSPENDED))
    put(subject.client, KEPT, "again", b"lost")
    kept.keeper.restore(kept.folder)
    assert subject.observe() == kept.before


def test_only_what_was_not_kept_as_the_backup_has_it_is_looked_at(
    empty: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, safety = tmp_path / "backup", tmp_path / "safety"
    for folder in (backup, safety):
        folder.mkdir()
    for key in ("same", "earlier", "later"):
        put(empty.client, KEPT, key, b"content")
    keeper, before = empty.place.keeper(), empty.observe()
    keeper.back_up(backup)
    put(empty.client, KEPT, "earlier", b"content", tagged={"since": "the backup"})
    with monkeypatch.context() as watched:
        read = create_autospec(read_object, side_effect=read_object)
        watched.setattr(s3_keeper, "read_object", read)
        keeper.keep_safe(safety, up=True, backup=backup)
    # The content of the others is that of the backup.
    assert [call.args[3] for call in read.call_args_list] == ["earlier"]
    put(empty.client, KEPT, "later", b"content", tagged={"since": "the safety copy"})
    looked = create_autospec(s3_keeper._same, side_effect=s3_keeper._same)
    monkeypatch.setattr(s3_keeper, "_same", looked)
    for keys in (["earlier", "later"], ["earlier", "later", "same"]):
        keeper.restore_kept(backup, safety)
        assert empty.observe() == before
        assert sorted(call.args[1].key for call in looked.call_args_list) == keys
        # The second time, the safety copy is damaged.
        looked.reset_mock()
        (safety / s3_keeper.LISTING).write_bytes(b"{}\n")


def test_versions_that_were_removed_are_found_out_before_anything_changes(
    subject: S3, tmp_path: Path
) -> None:
    subject.populate("versions, versioned")
    keeper = subject.place.keeper()
    keeper.back_up(tmp_path)
    put(subject.client, KEPT, "late", b"x")
    for item in list(subject.client.list_objects(KEPT, prefix="again", include_version=True)):
        subject.client.remove_object(KEPT, "again", item.version_id)
    before = subject.observe()
    with pytest.raises(ActionFailed, match=f"1 versions gone, of {KEPT} "):
        keeper.restore(tmp_path)
    assert subject.observe() == before


@pytest.mark.parametrize("backup", ["copies", "versions"])
def test_a_bucket_that_is_not_there_is_kept_as_absent(subject: S3, tmp_path: Path, backup: str) -> None:
    erase(subject.client, KEPT)
    keeper = subject.place.but(backup=backup).keeper()
    safe = keeper.keep_safe(tmp_path, up=True, backup=tmp_path)
    assert safe.records == {KEPT: 0}
    assert f"bucket {KEPT} is not there" in safe.method
    assert keeper.restore(tmp_path).notes == ()
    assert subject.observe() is None
