"""What is said before a backup of the store that it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.backups.away import away_during_backup
from fixtures.backups.package import Kept
from fixtures.backups.sets import MANIFEST, SetManifest, manifest_text
from fixtures.system.clock import Moment
from fixtures.system.record_files import as_json
from fixtures.target.profile import Target, load_target
from tests.conftest import ROOT

SAID = "milvus is stopped while it is copied, and answers nobody meanwhile: "


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """The staging profile, whose backups are in a folder of the test's own."""
    found = load_target(ROOT / "targets" / "staging.toml")
    folders = found.folders.model_copy(update={"backups": tmp_path})
    return found.model_copy(update={"folders": folders})


def test_the_store_that_a_backup_stops_is_named_and_no_other(target: Target) -> None:
    assert list(away_during_backup(target)) == [f"{SAID}how long is not known yet"]


def test_what_it_took_the_last_time_is_told(target: Target) -> None:
    began = Moment("2026-11-27T10:00:00.000+00:00", 100.0, "boot")
    ended = Moment("2026-11-27T10:00:26.000+00:00", 126.0, "boot")
    kept = Kept(method="a snapshot", records={}, size=0, means=None)
    manifest = SetManifest(
        version=1,
        target=target.name,
        commit="c" * 40,
        started=began,
        finished=ended,
        index={},
        sealed={"milvus": "0" * 64},
        taken={"milvus": (began, ended)},
        index_seconds=0.0,
        stores={"milvus": kept},
    )
    folder = target.folders.backups / f"20261127T100026000Z-{target.name}"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(manifest_text(as_json(manifest)))
    assert list(away_during_backup(target)) == [f"{SAID}26 s the last time"]
