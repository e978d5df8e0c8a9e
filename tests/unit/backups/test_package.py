"""A backup that was cut, changed or never finished is refused by name; no older set stands for the newest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollproof.backups.sets import MANIFEST as SET_MANIFEST
from rollproof.backups.sets import SetManifest, newest_backup, stamp_of
from rollproof.errors import ActionFailed, Mismatch
from rollproof.profile.store_descriptor import Means
from rollproof.stores.package import MANIFEST, read_package, write_package
from rollproof.system.clock import Moment
from rollproof.system.files import create_file
from rollproof.system.record_files import sealed_json
from tests.unit.clock import Clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed backup of two files, one of them in a folder of its own."""
    (tmp_path / "parts").mkdir()
    # As a store's own tool writes it, for everybody to read.
    (tmp_path / "data.bson").write_bytes(b"abcdef")
    (tmp_path / "data.bson").chmod(0o644)
    with create_file(tmp_path / "parts" / "one") as stream:
        stream.write(b"")
    kept = write_package(
        tmp_path,
        kind="mongodb",
        method="dump",
        means=Means.DOCUMENTS,
        records={"b.two": 2, "a.one": 1},
        details={"server": "6.0.5", "numbers": {3: (1, 2), 20: None}},
    )
    assert (kept.method, dict(kept.records), kept.size) == ("dump", {"a.one": 1, "b.two": 2}, 6)
    return tmp_path


def test_a_whole_backup_is_read(folder: Path) -> None:
    package = read_package(folder, kind="mongodb")
    assert package.size == 6
    assert list(package.records) == ["a.one", "b.two"]
    assert package.details == {"server": "6.0.5", "numbers": {"3": [1, 2], "20": None}}
    assert package.path("parts/one").read_bytes() == b""
    with pytest.raises(ActionFailed, match="a data file nothing"):
        package.path("nothing")


def test_only_the_owner_may_read(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {MANIFEST: 0o600, "data.bson": 0o600, "one": 0o600}


def _flip(path: Path, position: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def _resealed(folder: Path, **changes: object) -> None:
    manifest = folder / MANIFEST
    manifest.write_bytes(sealed_json({**json.loads(manifest.read_bytes()), **changes}))


@pytest.mark.parametrize(
    ("damage", "observed"),
    [
        (lambda f: (f / MANIFEST).unlink(), "none: the backup was never finished"),
        (lambda f: (f / "data.bson").unlink(), "the data file data.bson, observed it is missing"),
        (lambda f: (f / "data.bson").write_bytes(b"abcde"), "data.bson of 6 bytes, observed 5: it was cut"),
        (
            lambda f: (f / "data.bson").write_bytes(b"abcdefg"),
            "data.bson of 6 bytes, observed 7: it has grown",
        ),
        (lambda f: _flip(f / "data.bson", 3), "data.bson with SHA-256"),
        (lambda f: (f / "parts" / "late").write_bytes(b""), "observed another one, parts/late"),
        (lambda f: (f / "link").symlink_to(f / "data.bson"), "observed another kind of file, link"),
        (lambda f: (f / MANIFEST).write_bytes((f / MANIFEST).read_bytes()[:90]), "of this program, observed"),
        (
            lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text().replace("dump", "copy")),
            "content that does not match its SHA-256",
        ),
        (lambda f: _resealed(f, version=2), "as version, not version 1"),
    ],
)
def test_damage_is_named(folder: Path, damage: Callable[[Path], object], observed: str) -> None:
    damage(folder)
    with pytest.raises(ActionFailed) as failure:
        read_package(folder, kind="mongodb")
    assert observed in str(failure.value)
    assert "\nHINT: do not restore from this folder" in str(failure.value)
    assert str(folder) in str(failure.value)


def test_a_backup_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ActionFailed):
        read_package(folder, kind="mysql")


NEWER = "29990101T000000000Z-staging"


def _made(backups: Path, target: str = "staging") -> Path:
    """Make a set, of no store, that finished now."""
    folder, moment = backups / f"{stamp_of(datetime.now(UTC))}-staging", Moment.now()
    folder.mkdir(parents=True)
    manifest = SetManifest(1, target, "c" * 40, moment, moment, {}, {}, {}, 0.0, {})
    (folder / SET_MANIFEST).write_bytes(sealed_json(manifest))
    return folder


def _without_its_manifest(backups: Path, name: str = NEWER) -> None:
    shutil.copytree(_made(backups), backups / name)
    (backups / name / SET_MANIFEST).unlink()


def _edited(backups: Path) -> None:
    manifest = _made(backups) / SET_MANIFEST
    manifest.write_text(manifest.read_text().replace("cccc", "dddd", 1))


@pytest.mark.parametrize(
    ("fault", "observed"),
    [
        (_without_its_manifest, f"one without {SET_MANIFEST}: it was cut"),
        (
            lambda backups: _without_its_manifest(backups, f".{NEWER}.part"),
            "one that was begun and is not finished: it was cut, or it runs",
        ),
        (lambda backups: _made(backups, "production"), "one of target production"),
        (_edited, "a damaged one: content that does not match its SHA-256 in its manifest"),
        (lambda backups: (_made(backups) / SET_MANIFEST).write_text("{"), "a damaged one: "),
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
