"""What is said before a backup of the store that it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_actions.backup.whole_backup import away_during_backup
from rollproof.backups.sets import MANIFEST, SetManifest, manifest_text
from rollproof.profile.profile import Target, load_target
from rollproof.profile.store_descriptor import Means
from rollproof.stores.package import write_package
from rollproof.system.clock import Moment
from rollproof.system.record_files import as_json
from tests.conftest import write_profile

MILVUS = """
[stores.milvus]
kind = "milvus"
address = {host = "127.0.0.1", port = 9}
services = ["milvus"]
risk = "high"
"""
STOPPED = "milvus is stopped while it is copied, and answers nobody meanwhile"


def _target(folder: Path) -> Target:
    return load_target(write_profile(folder, MILVUS))


def test_a_store_that_is_away_is_named_and_no_other(tmp_path: Path) -> None:
    assert list(away_during_backup(_target(tmp_path))) == [f"{STOPPED}: how long is not known yet"]


@pytest.mark.parametrize(
    ("away", "said"), [(0.84, "0.8 s the last time"), (26.0, "26.0 s the last time"), (None, "not known yet")]
)
def test_how_long_it_was_away_is_told(tmp_path: Path, away: float | None, said: str) -> None:
    target, now = _target(tmp_path), Moment.now()
    folder = target.folders.backups / f"20261127T100026000Z-{target.name}"
    (folder / "milvus").mkdir(parents=True)
    kept = write_package(
        folder / "milvus",
        kind="milvus",
        method="a snapshot",
        means=Means.VOLUMES,
        records={},
        details={"server": "2.3.5", "collections": {}, "away": away},
    )
    manifest = SetManifest(
        version=1,
        target=target.name,
        commit="c" * 40,
        started=now,
        finished=now,
        index={},
        sealed={"milvus": "0" * 64},
        taken={"milvus": (now, now)},
        index_seconds=0.0,
        stores={"milvus": kept},
    )
    (folder / MANIFEST).write_bytes(manifest_text(as_json(manifest)))
    (line,) = away_during_backup(target)
    assert line.startswith(f"{STOPPED}: ")
    assert line.endswith(said)
