"""The reader of files that a profile or a record names: regular files alone, of a bounded size.

A pipe may have nobody at the other end, and a device may have no end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

LARGEST_BYTES = 64 * 1024 * 1024
"""The largest file that is read whole: a larger record was written by something else."""
LARGEST_LINE_BYTES = 4 * 1024 * 1024
"""The longest line of a file that is read line by line."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read its bytes; raises `OSError` if it cannot be opened, or is no regular file."""
    # Without waiting for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, most: int = LARGEST_BYTES) -> bytes:
    """Return the bytes of a file; raises as `open_regular`, and for a file of more than `most` bytes."""
    with open_regular(path) as stream:
        data = stream.read(most + 1) if os.fstat(stream.fileno()).st_size <= most else None
    if data is None or len(data) > most:
        raise OSError(errno.EOVERFLOW, f"More than {most:,} bytes", str(path))
    return data


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the complete lines of a file, without their ends and without a torn last one.

    Raises:
        OSError: it cannot be read, or a line is longer than `LARGEST_LINE_BYTES`.
    """
    with open_regular(path) as stream:
        while (line := stream.readline(LARGEST_LINE_BYTES + 1)).endswith(b"\n"):
            yield line[:-1]
        if len(line) > LARGEST_LINE_BYTES:
            raise OSError(errno.EOVERFLOW, f"A line of more than {LARGEST_LINE_BYTES:,} bytes", str(path))


def is_torn(path: Path) -> bool:
    """Return whether a file ends within a line; raises as `open_regular`."""
    with open_regular(path) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        return stream.read(1) not in {b"", b"\n"}
