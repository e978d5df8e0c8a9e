"""What the helpers of a copy run, with this machine's programs: whatever happens meanwhile, it comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from rollback_actions.containers import live_copy, volumes

COARSE = f"- {live_copy.COARSE_SECONDS}"
STATE = r"find . -mindepth 1 ! -type s -printf '%y %m %U %G %T@ %l %n %P\n' | sort"


class Volume:
    """A folder in the place of a volume, a copy of it, and what a restore makes of that."""

    def __init__(self, folder: Path) -> None:
        self.live, self.restored, self.place = (folder / name for name in ("live", "restored", "place"))
        self.copy = folder / "copy.tar"
        self.live.mkdir()
        self.restored.mkdir()

    def run(self, script: str, at: Path, **files: Path) -> None:
        """Run a script of a helper that sees `at` as its volume."""
        here = script.replace(volumes.INSIDE, str(at)).replace("/rollproof", str(self.place))
        opened = {name: file.open("rb" if name == "stdin" else "wb") for name, file in files.items()}
        try:
            subprocess.run(["sh", "-c", here], check=True, timeout=60, **opened)  # type: ignore[call-overload]
        finally:
            for file in opened.values():
                file.close()

    def begin(self) -> None:
        self.run(live_copy._FIRST, self.live, stdout=self.copy)

    def end(self) -> None:
        self.run(live_copy._LAST, self.live)
        for suffix, name in live_copy._FILES.items():
            shutil.copy(self.place / name, volumes.beside(self.copy, suffix))

    def restore(self) -> None:
        self.run(volumes.REPLACE_SCRIPT, self.restored, stdin=self.copy)
        for script, suffix in volumes.COMPLETING:
            self.run(script, self.restored, stdin=volumes.beside(self.copy, suffix))

    @staticmethod
    def state(folder: Path) -> str:
        """Return all that is there: types, permissions, times, links and contents."""
        listed = subprocess.run(["sh", "-c", STATE], cwd=folder, check=True, capture_output=True, text=True)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return listed.stdout + "".join(
            f"{file.relative_to(folder)}: {file.read_bytes()!r}\n" for file in files
        )


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def _restored(volume: Volume) -> None:
    volume.restore()
    assert volume.state(volume.restored) == volume.state(volume.live)
    # A second time, over what is there.
    volume.restore()
    assert volume.state(volume.restored) == volume.state(volume.live)


def test_folders_that_are_made_removed_and_renamed_come_back(volume: Volume) -> None:
    """As MinIO does, with a folder for each object: their inodes are used again at once."""
    for number in range(30):
        (volume.live / f"a/insert_log/{number}").mkdir(parents=True)
        (volume.live / f"a/insert_log/{number}/xl.meta").write_text(f"{number}")
    volume.begin()
    for number in range(30):
        shutil.rmtree(volume.live / f"a/insert_log/{number}")
        (volume.live / f"a/stats_log/{number}").mkdir(parents=True)
        (volume.live / f"a/stats_log/{number}/xl.meta").write_text(f"now {number}")
    (volume.live / "a/stats_log").rename(volume.live / "a/renamed")
    (volume.live / "a/insert_log").rename(volume.live / "a/stats_log")
    volume.end()
    _restored(volume)


def test_what_has_become_something_else_comes_back(volume: Volume) -> None:
    names = ("file", "folder", "link", "pipe", " a name\nof lines", "-rf", "ü\\*", "own")
    for name in names:
        (volume.live / name).write_text(name)
    (volume.live / "deep/er").mkdir(parents=True)
    (volume.live / "deep/er/file").write_text("x")
    os.link(volume.live / "file", volume.live / "hard")
    volume.begin()
    for name in ("folder", "link", "pipe"):
        (volume.live / name).unlink()
    (volume.live / "folder").mkdir()
    (volume.live / "folder/in it").write_text("now")
    (volume.live / "link").symlink_to("nowhere")
    os.mkfifo(volume.live / "pipe")
    shutil.rmtree(volume.live / "deep")
    (volume.live / "deep").write_text("a file")
    (volume.live / "-rf").unlink()
    (volume.live / " a name\nof lines").write_text("changed")
    (volume.live / "own").chmod(0o4751)
    os.link(volume.live / "file", volume.live / "second")
    (volume.live / "hard").unlink()
    volume.end()
    _restored(volume)


def test_a_folder_beside_which_another_name_begins_alike_has_its_time(volume: Volume) -> None:
    """Sorted by their bytes, the other name comes between the folder and what is in it."""
    for name in ("a", "b+", "c"):
        (volume.live / name).mkdir()
        (volume.live / name / "x").write_text("before")
    for name in ("a-b", "b+ c", "c.d", "c!"):
        (volume.live / name).write_text("beside")
    volume.begin()
    for name in ("a", "b+", "c"):
        (volume.live / name / "x").write_text("after")
    volume.end()
    _restored(volume)


def test_the_volume_s_own_folder_comes_back(volume: Volume) -> None:
    (volume.live / "file").write_text("x")
    volume.begin()
    volume.live.chmod(0o2710)
    volume.end()
    _restored(volume)
    assert volume.restored.stat().st_mode & 0o7777 == 0o2710


def test_a_list_that_was_cut_short_is_no_copy(volume: Volume, tmp_path: Path) -> None:
    """A `find` that is killed would leave a short list: what is not in it would be deleted."""
    for number in range(50):
        (volume.live / f"{number}").write_text("x")
    volume.begin()
    real = shutil.which("find")
    broken = tmp_path / "bin" / "find"
    broken.parent.mkdir()
    broken.write_text(f'#!/bin/sh\n{real} "$@" | head -c 200\nkill -9 $$\n')
    broken.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
        with pytest.raises(subprocess.CalledProcessError):
            volume.run(live_copy._LAST, volume.live)
    volume.end()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
        with pytest.raises(subprocess.CalledProcessError):
            volume.run(volumes.DELETE_SCRIPT, volume.live, stdin=volumes.beside(volume.copy, volumes.LISTED))
    assert len(list(volume.live.iterdir())) == 50


def test_a_change_at_the_same_tick_is_copied(volume: Volume) -> None:
    """The clock of a file system is coarse: two writes may have one time, and the list is of the first."""
    file = volume.live / "file"
    file.write_text("first")
    volume.begin()
    before = file.stat()
    file.write_text("later")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    volume.end()
    assert (volume.place / "changed").read_bytes() == b".\0file\0"
    _restored(volume)


def test_what_did_not_change_is_not_copied_again(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old", "new", "gone"):
        (volume.live / name).write_text(name)
    time.sleep(1.1)
    monkeypatch.setattr(live_copy, "_LAST", live_copy._LAST.replace(f"- {live_copy.COARSE_SECONDS}", "- 0"))
    volume.begin()
    (volume.live / "new").write_text("another")
    (volume.live / "gone").unlink()
    volume.end()
    assert (volume.place / "changed").read_bytes() == b".\0new\0"
    _restored(volume)


def test_a_list_that_does_not_fit_fails_the_restore(volume: Volume) -> None:
    (volume.live / "file").write_text("x")
    volume.begin()
    volume.end()
    listed = volumes.beside(volume.copy, volumes.LISTED)
    listed.write_bytes(listed.read_bytes().replace(b" 1 ", b" 2 "))
    with pytest.raises(subprocess.CalledProcessError):
        volume.restore()


# Some of them come between a folder and what is in it, where names are sorted by their bytes.
NAMES = ("new", "new-1", "folder-1-x", "folder-2.y", "moved-3 z", "new+", "ü", "-x")


def _write(volume: Volume, random: Random) -> None:
    path = _some(volume, random, folders=True) / random.choice(NAMES)
    if not path.is_dir():
        path.write_bytes(random.randbytes(random.randrange(2000)))


def _append(volume: Volume, random: Random) -> None:
    path = _some(volume, random)
    if path.is_file():
        with path.open("ab") as file:
            file.write(b"more")


def _make(volume: Volume, random: Random) -> None:
    (_some(volume, random, folders=True) / f"folder-{random.randrange(5)}").mkdir(exist_ok=True)


def _remove(volume: Volume, random: Random) -> None:
    path = _some(volume, random)
    if path == volume.live:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _rename(volume: Volume, random: Random) -> None:
    path, to = _some(volume, random), _some(volume, random, folders=True)
    there = to / f"moved-{random.randrange(9)}"
    if path != volume.live and not there.exists() and not to.is_relative_to(path):
        path.rename(there)


def _some(volume: Volume, random: Random, *, folders: bool = False) -> Path:
    every = [volume.live, *sorted(volume.live.rglob("*"))]
    return random.choice([path for path in every if path.is_dir() or not folders])


ACTS: tuple[Callable[[Volume, Random], None], ...] = (_write, _append, _make, _remove, _rename)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_done_meanwhile_comes_back(
    volume: Volume, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)  # noqa: S311 - no secret
    for _ in range(40):
        random.choice(ACTS[:3])(volume, random)
    if seed % 2:
        # What was there before is not copied again.
        time.sleep(1.1)
        monkeypatch.setattr(live_copy, "_LAST", live_copy._LAST.replace(COARSE, "- 0"))
    volume.begin()
    for _ in range(60):
        random.choice(ACTS)(volume, random)
    volume.end()
    _restored(volume)
