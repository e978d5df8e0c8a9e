"""Files that are complete or absent, whatever is killed and when."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from rollproof.reading import open_regular

# `json.dumps` with options builds an encoder each time.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)


def sync_folder(path: Path) -> None:
    """Make the folder's entries survive a crash of the machine; or a file's content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make a folder survive a crash of the machine, with everything in it; its own name is its parent's."""
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            if stat.S_ISREG((Path(path) / name).lstat().st_mode):
                sync_folder(Path(path) / name)
        for name in folders:
            if not (Path(path) / name).is_symlink():
                sync_folder(Path(path) / name)
    sync_folder(folder)


def make_folders(folder: Path, mode: int = 0o700, *, exist_ok: bool = True) -> None:
    """Make a folder with its parents, so that they survive a crash of the machine; `mode` is its own."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=exist_ok)
    for one in missing:
        sync_folder(one.parent)


def rename_whole(path: Path, name: Path) -> None:
    """Give a file or a folder, which is on the disk, the name `name`, so that it survives a crash too."""
    path.rename(name)
    for parent in {path.parent, name.parent}:
        sync_folder(parent)


def part_of(folder: Path) -> Path:
    """Return the folder that `folder` is written as until it is whole, and gets its name."""
    return folder.with_name(f".{folder.name}.part")


def remove_file(path: Path) -> None:
    """Remove a file, if there is one, so that it does not come back after a crash of the machine."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `path` so that a reader sees the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        # The error of a write names no file; and a full disk needs the room.
        error.filename = error.filename or str(path)
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_page(path: Path, text: str) -> None:
    """Write a text: see `write_whole` and `encodable`."""
    write_whole(path, encodable(text).encode())


def encodable(text: str) -> str:
    """Return `text` with lone surrogates, of a name that is no UTF-8 or of a damaged record, spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; raises `OSError` if it cannot be read."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """Return JSON with one spelling for one value: sorted keys, no spare space, UTF-8, a final newline.

    Half a character, as in a file name that is no UTF-8, becomes a question mark.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return f"{text}\n".encode("utf-8", "replace")


def json_line(record: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """Return `record` as one line of JSON, with its line end; see `canonical_json` for half a character."""
    return f"{_ENCODER.encode(record)}\n".encode("utf-8", "replace")


class LineWriter:
    """Appends records to a file, one a line; a line torn by an earlier kill is removed first.

    With `synced` each line survives a crash of the machine, without it only a crash of this process.
    """

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        """Open the file; raises `OSError` if that fails."""
        self._path = path
        self._synced = synced
        new = synced and not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._stream = os.fdopen(descriptor, "r+b", buffering=0)
        size = self._stream.seek(0, os.SEEK_END)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            self._stream.seek(0)
            self._stream.truncate(self._stream.read().rfind(b"\n") + 1)
        if new:
            sync_folder(path.parent)

    def append(self, record: dict[str, Any]) -> None:
        """Append one record; raises `OSError` if its line could not be written whole, and so not at all."""
        left = memoryview(json_line(record))
        written = 0
        try:
            while left:
                # A full disk takes a part of a line, and then says why it takes no more.
                written += (taken := self._stream.write(left) or 0)
                left = left[taken:]
            if self._synced:
                os.fsync(self._stream.fileno())
        except OSError as error:
            error.filename = error.filename or str(self._path)
            if left and written:
                # The next line may find room again: it must not continue this one.
                with suppress(OSError):
                    self._stream.truncate(os.fstat(self._stream.fileno()).st_size - written)
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append `record` as one line and fsync it; see `LineWriter`."""
    with closing(LineWriter(path)) as writer:
        writer.append(record)


def complete_lines(text: bytes) -> bytes:
    """Return `text` up to the end of its last complete line."""
    return text[: text.rfind(b"\n") + 1]


def create_file(path: Path) -> BinaryIO:
    """Create a file for writing that only its owner may read; raises FileExistsError if it exists."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
