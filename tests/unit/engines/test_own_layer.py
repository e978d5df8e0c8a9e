"""What a container's own layer changes, read from folders as the engine lays them out."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollproof.engines.insides import ADDED, DELETED, MODIFIED, changes_in

Layers = tuple[Path, Path, Path]


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    """An upper layer and two lower ones, the upper of which hides a file of the other."""
    upper, first, second = (tmp_path / name for name in ("upper", "first", "second"))
    upper.mkdir()
    for lower, files in ((first, ("etc/a", "etc/b")), (second, ("etc/a", "usr/c", "usr/gone"))):
        for name in files:
            (lower / name).parent.mkdir(parents=True, exist_ok=True)
            (lower / name).write_text(f"{name} of {lower.name}")
    return upper, first, second


def _raw(layers: Layers, name: str = "overlay2") -> dict[str, Any]:
    upper, *lowers = map(str, layers)
    return {"GraphDriver": {"Name": name, "Data": {"UpperDir": upper, "LowerDir": ":".join(lowers)}}}


def _copied_up(layers: Layers, name: str, of: int = 1) -> Path:
    """Copy a file up as it is, as the kernel does where it is opened to be written to."""
    path = layers[0] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copystat(layers[of] / Path(name).parent, path.parent)
    shutil.copy2(layers[of] / name, path)
    return path


def _whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0))
    except PermissionError:
        pytest.skip("only root makes the mark of a file that was deleted")


def _write(path: Path) -> None:
    before = path.stat()
    path.write_text("x" * before.st_size)


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _allow(path: Path) -> None:
    path.chmod(0o777)


def _leave(_: Path) -> None:
    """As where it was opened, and not written to."""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_write, [("/etc/a", MODIFIED)]),
        (_touch, [("/etc/a", MODIFIED)]),
        (_allow, [("/etc/a", MODIFIED)]),
        (_leave, []),
    ],
)
def test_a_file_that_was_copied_up_is_modified_where_it_differs(
    layers: Layers, change: Callable[[Path], None], told: list[tuple[str, int]]
) -> None:
    change(_copied_up(layers, "etc/a"))
    assert changes_in(_raw(layers)) == told


def test_what_is_new_is_added_with_its_folder(layers: Layers) -> None:
    (layers[0] / "srv").mkdir()
    (layers[0] / "srv/new").write_text("x")
    (layers[0] / "srv/link").symlink_to("/etc/a")
    assert changes_in(_raw(layers)) == [("/srv", ADDED), ("/srv/link", ADDED), ("/srv/new", ADDED)]


def test_what_is_gone_is_deleted_and_of_the_image_only_once(layers: Layers) -> None:
    upper, first, _ = layers
    for layer, name in ((upper, "usr/c"), (first, "usr/gone"), (upper, "usr/never")):
        _whiteout(layer / name)
    shutil.copystat(first / "usr", upper / "usr")
    assert changes_in(_raw(layers)) == [("/usr/c", DELETED)]


def test_a_file_in_the_place_of_one_that_the_image_deletes_is_new(layers: Layers) -> None:
    _whiteout(layers[1] / "usr/gone")
    path = _copied_up(layers, "usr/gone", of=2)
    shutil.copystat(layers[1] / "usr", path.parent)
    assert changes_in(_raw(layers)) == [("/usr/gone", ADDED)]


@pytest.mark.parametrize("mark", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_a_folder_that_replaces_the_image_s_is_left_to_the_engine(layers: Layers, mark: str) -> None:
    (layers[0] / "usr").mkdir()
    try:
        os.setxattr(layers[0] / "usr", mark, b"y")
    except OSError:
        pytest.skip("this file system, or account, takes no such mark")
    assert changes_in(_raw(layers)) is None


def test_what_a_folder_of_the_image_replaces_does_not_count(layers: Layers) -> None:
    (layers[1] / "usr").mkdir()
    try:
        os.setxattr(layers[1] / "usr", "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system, or account, takes no such mark")
    _copied_up(layers, "usr/c", of=2)
    assert changes_in(_raw(layers)) == [("/usr/c", ADDED)]


def test_what_cannot_be_told_here_is_left_to_the_engine(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert changes_in({}) is None
    assert changes_in(_raw(layers, "btrfs")) is None
    shutil.rmtree(layers[2])
    assert changes_in(_raw(layers)) is None
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    assert changes_in(_raw(layers)) is None
