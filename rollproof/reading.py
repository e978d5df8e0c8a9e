"""The one reader of files that a profile or a record names: regular files alone, and only so much of one.

A pipe may have nobody at the other end, a device may have no end, and a file may be larger than the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from rollproof.errors import TooLarge

LARGEST_BYTES = 64 * 1024 * 1024
"""The largest file that is read whole: a larger record was written by something else."""
LARGEST_LINE_BYTES = 4 * 1024 * 1024
"""The longest line of a file that is read line by line."""
LARGEST_LINES_BYTES = 32 * 1024 * 1024
"""The largest part of one that is read: what is made of a line takes ten times its size."""
MOST_LINES = 100_000
"""The most lines of a file that is read whole: one costs memory however short it is."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read its bytes; raises `OSError` if it cannot be opened, or is no regular file.

    A pipe may have nobody at the other end, and a device may have no end.
    """
    _require_regular(path.stat(), path)
    # Its current kind counts: a file that has just become a pipe must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    stream = os.fdopen(descriptor, "rb")
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        stream.close()
        raise
    return stream


def read_regular(path: Path, most: int = LARGEST_BYTES) -> bytes:
    """Return the bytes of a file; raises as `open_regular`, and `TooLarge` for more than `most`."""
    with open_regular(path) as stream:
        # A sparse file of terabytes is not read to see that.
        size = os.fstat(stream.fileno()).st_size
        # None: the kernel's log, for one, says that it is a regular file, and has an end for nobody.
        data = stream.read(most + 1) if size <= most else b""
    if data is None:
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if max(size, len(data)) > most:
        raise TooLarge.of(path, size, most)
    return data


def read_lined(path: Path, most: int = MOST_LINES) -> bytes:
    """Return the bytes of a file of lines; raises as `read_regular`, and `TooLarge` for more than `most`."""
    data = read_regular(path)
    count = data.count(b"\n") + data.count(b"\r")
    if count > most:
        raise TooLarge.of_lines(path, count, most)
    return data


def lines_of(
    path: Path, longest: int = LARGEST_LINE_BYTES, most: int = LARGEST_LINES_BYTES
) -> Iterator[bytes]:
    """Yield the complete lines of a file that may rightly be long, without their ends; a torn last one not.

    Raises:
        OSError: it cannot be read. `TooLarge`: a line is longer than `longest`, or all before it than `most`.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        while (line := stream.readline(longest + 1)).endswith(b"\n"):
            if stream.tell() > most:
                raise TooLarge.of(path, size, most)
            yield line[:-1]
        if len(line or b"") > longest:
            raise TooLarge.of(path, 0, longest, "a line of ")


def is_torn(path: Path) -> bool:
    """Return whether a file ends within a line; raises as `open_regular`."""
    with open_regular(path) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        return stream.read(1) not in {b"", b"\n"}


def _require_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
