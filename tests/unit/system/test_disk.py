"""Files: whole on a disk that fills up and after a crash; only regular ones of a bounded size are read."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rollback_actions.backup.taking import new_backup_folder
from rollback_actions.session.session import Journal
from rollproof import reading
from rollproof.errors import no_space
from rollproof.incident.incident import Incident
from rollproof.planning.plan import plan_database
from rollproof.reading import is_torn, lines_of, read_regular
from rollproof.system.files import LineWriter, complete_lines, part_of, write_whole
from tests.world.baseline import save_baseline
from tests.world.sandbox import Sandbox, back_up, facts


class Disk:
    """What is on the disk by now: each file and folder that was synced, with its content then."""

    def __init__(self) -> None:
        self.synced: dict[Path, object] = {}

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.synced[path] = _content(path)

    def holds(self, path: Path) -> bool:
        """Return True if a crash now would leave `path` as it is, with its name and everything below it."""
        below = [path, *path.rglob("*")] if path.is_dir() else [path]
        return _listed(self.synced.get(path.parent), path.name) and all(
            self.synced.get(one) == _content(one) or self._renamed(one) for one in below
        )

    def _renamed(self, path: Path) -> bool:
        """A folder or a file may have been synced under the name that it had then."""
        return _content(path) in self.synced.values()


def _content(path: Path) -> object:
    return frozenset(one.name for one in path.iterdir()) if path.is_dir() else path.read_bytes()


def _listed(content: object, name: str) -> bool:
    return isinstance(content, frozenset) and name in content


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


def test_a_backup_set_is_on_the_disk_with_its_name(sandbox: Sandbox, disk: Disk) -> None:
    back_up(sandbox, sandbox.commit, "synced")
    assert disk.holds(sandbox.target.folders.backups / "synced")


def test_a_baseline_is_on_the_disk_with_its_name_and_is_the_current_one(tmp_path: Path, disk: Disk) -> None:
    folder = save_baseline(tmp_path / "baselines", "staging", facts("c" * 40))
    assert disk.holds(folder)
    assert _listed(disk.synced[tmp_path / "baselines"], "current")
    assert _listed(disk.synced[tmp_path], "baselines")


def test_what_a_rollback_needs_after_a_crash_is_on_the_disk_before_it_restores(
    sandbox: Sandbox, incident: Incident, disk: Disk
) -> None:
    seen: list[bool] = []

    def look() -> None:
        safety = sandbox.target.folders.backups / "safety"
        seen.append(disk.holds(safety / f"{incident.id}-01"))
        seen.append(_listed(disk.synced.get(safety.parent), "safety"))
        seen.append(disk.holds(incident.folder / "lost-window"))
        seen.extend(disk.holds(incident.folder / name) for name in ("unfinished.json", "journal.jsonl"))

    sandbox.keepers["mysql"].meanwhile = look
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert seen == [True] * 5
    # What was unfinished does not come back.
    assert not _listed(disk.synced[incident.folder], "unfinished.json")
    assert disk.holds(incident.folder / "rollback.json")


def test_a_journals_line_is_on_the_disk_with_the_head_that_counts_it(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path / "journal.jsonl", str)
    for number in range(3):
        journal.write("noted", number=str(number))
        for path in tmp_path.iterdir():
            assert disk.synced[path.resolve()] == path.read_bytes(), path
    assert disk.synced[tmp_path.resolve()] == {path.name for path in tmp_path.iterdir()}


def test_what_a_killed_backup_left_is_removed_by_the_next_one_of_its_target(sandbox: Sandbox) -> None:
    backups, target = sandbox.target.folders.backups, sandbox.target.name
    mine, others = (part_of(new_backup_folder(backups, name)) for name in (target, f"other-{target}"))
    for part in (mine, others):
        (part / "mysql").mkdir(parents=True)
    back_up(sandbox, sandbox.commit, "two")
    assert (mine.exists(), others.exists()) == (False, True)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes in the body."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, 50, 99, 100, 101, 160])
@pytest.mark.parametrize("synced", [True, False])
def test_no_line_is_torn_and_the_next_one_finds_its_place(tmp_path: Path, size: int, *, synced: bool) -> None:
    path = tmp_path / "lines"
    written = []
    with closing(LineWriter(path, synced=synced)) as writer:

        def fill() -> None:
            for number in range(100):
                writer.append({"number": number, "text": "x" * 20})
                written.append(number)

        with limited(size), pytest.raises(OSError, match="too large") as full:
            fill()
        assert full.value.filename == str(path)
        assert no_space(full.value) is full.value
        lines = complete_lines(path.read_bytes()).splitlines()
        assert [json.loads(line)["number"] for line in lines] == written
        writer.append({"number": -1})
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [*written, -1]


def test_a_file_keeps_its_old_content_and_nothing_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with limited(10), pytest.raises(OSError, match="too large") as full:
        write_whole(path, b"new" * 10)
    assert full.value.errno == errno.EFBIG
    assert full.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "one")
    with pytest.raises(OSError, match=r"Not a regular file|Is a directory") as raised:
        read_regular(tmp_path / "one")
    assert raised.value.filename == str(tmp_path / "one")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * 1024**3)
    with pytest.raises(OSError, match="More than 67,108,864 bytes"):
        read_regular(tmp_path / "sparse")
    # A file of the kernel has the size 0.
    with pytest.raises(OSError, match="More than 10 bytes"):
        read_regular(Path("/proc/self/status"), 10)


def test_lines_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\nb\nto")
    assert list(lines_of(path)) == [b"a", b"", b"b"]
    assert is_torn(path)
    path.write_bytes(b"")
    assert not list(lines_of(path))
    assert not is_torn(path)
    path.write_bytes(b"a\n" + b"x" * 100)
    monkeypatch.setattr(reading, "LARGEST_LINE_BYTES", 10)
    found = lines_of(path)
    assert next(found) == b"a"
    with pytest.raises(OSError, match="A line of more than 10 bytes"):
        next(found)
