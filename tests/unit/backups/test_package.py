"""A backup that was cut, changed, added to or never finished is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rollproof.errors import ActionFailed
from rollproof.profile.store_descriptor import Means
from rollproof.stores.package import MANIFEST, read_package, write_package
from rollproof.system.files import create_file
from rollproof.system.record_files import sealed_json


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
