"""The newest backup counts: one that cannot serve is refused by name, and no older one stands for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollproof.backups.newest_backup import newest_backup
from rollproof.backups.sets import MANIFEST, SetManifest, stamp_of
from rollproof.errors import Mismatch
from rollproof.system.clock import Moment
from rollproof.system.record_files import sealed_json
from tests.unit.clock import Clock

NEWER = "29990101T000000000Z-staging"


def _made(backups: Path, target: str = "staging") -> Path:
    """Make a set, of no store, that finished now."""
    folder, moment = backups / f"{stamp_of(datetime.now(UTC))}-staging", Moment.now()
    folder.mkdir(parents=True)
    manifest = SetManifest(1, target, "c" * 40, moment, moment, {}, {}, {}, 0.0, {})
    (folder / MANIFEST).write_bytes(sealed_json(manifest))
    return folder


def _without_its_manifest(backups: Path, name: str = NEWER) -> None:
    shutil.copytree(_made(backups), backups / name)
    (backups / name / MANIFEST).unlink()


def _edited(backups: Path) -> None:
    manifest = _made(backups) / MANIFEST
    manifest.write_text(manifest.read_text().replace("cccc", "dddd", 1))


@pytest.mark.parametrize(
    ("fault", "observed"),
    [
        (_without_its_manifest, f"one without {MANIFEST}: it was cut"),
        (
            lambda backups: _without_its_manifest(backups, f".{NEWER}.part"),
            "one that was begun and is not finished: it was cut, or it runs",
        ),
        (lambda backups: _made(backups, "production"), "one of target production"),
        (_edited, "a damaged one: content that does not match its SHA-256 in its manifest"),
        (lambda backups: (_made(backups) / MANIFEST).write_text("{"), "a damaged one: "),
        (Path.mkdir, "none"),
        (lambda _: None, "none"),
    ],
)
def test_a_newest_backup_that_cannot_serve_is_refused(
    fault: Callable[[Path], object], observed: str, tmp_path: Path
) -> None:
    fault(tmp_path / "backups")
    with pytest.raises(Mismatch) as refused:
        newest_backup(tmp_path / "backups", "staging")
    assert str(refused.value.observed).startswith(observed)


def test_the_set_that_finished_last_is_the_newest_whatever_its_name(
    tmp_path: Path, stopped_clock: Clock
) -> None:
    _made(tmp_path).rename(tmp_path / "zz-before-the-migration")
    stopped_clock.turn(1)
    newer = _made(tmp_path).rename(tmp_path / "aa-kept")
    assert newest_backup(tmp_path, "staging").folder == newer
