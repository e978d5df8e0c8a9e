"""Files that a profile or a record names: regular files alone, of a bounded size."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rollproof import reading
from rollproof.reading import is_torn, lines_of, read_regular

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
