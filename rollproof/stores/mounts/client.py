"""The application's own state, view: its mounts as its containers have them, and the files in each.

The engine sends a mount's files as a tar, whether the container runs or not; nothing is run in it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import IO

from rollproof.engines.engine import Container, Mount

MOST_FILES = 200_000
"""Of one mount: their keys are held in memory."""

FIRST = 100
"""Files that one question looks at: it is asked with every beat."""

BLOCK = 512
END = bytes(2 * BLOCK)
"""The end of a tar. The engine ends its answer in order even where it could not read a file to its end."""


@dataclass(frozen=True, slots=True)
class HeldMount:
    """A mount of the profile as a container has it. `nested` are the places of other mounts inside it."""

    name: str
    container: Container
    mount: Mount
    nested: tuple[str, ...]


@dataclass(slots=True)
class File:
    """A file, folder or link: its path in the mount, "" for the mount itself, and what the engine says."""

    path: str
    info: tarfile.TarInfo
    tar: tarfile.TarFile

    def opened(self) -> IO[bytes]:
        """Return the content of a regular file, of others nothing; to be read before the next file."""
        return (self.tar.extractfile(self.info) if self.info.isreg() else None) or io.BytesIO()

    def below(self, folder: str) -> tarfile.TarInfo:
        """Return what the engine says of it, with its path, and that of a hard link, below `folder`."""
        info = copy(self.info)
        info.name = f"{folder}/{self.path}" if self.path else folder
        if info.islnk():
            first = self.info.name.removesuffix(self.path)
            info.linkname = f"{folder}/{info.linkname.removeprefix(first)}"
        # These would win over the two above.
        info.pax_headers = {k: v for k, v in info.pax_headers.items() if k not in {"path", "linkpath"}}
        return info


class TarStream:
    """The engine's chunks as `tarfile` reads them; remembers the end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.tail = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        found, self._rest = whole[:size], whole[size:]
        self.tail = (self.tail + found[-len(END) :])[-len(END) :]
        return found


def inside(container: Container, place: str) -> tuple[str, ...]:
    """Return the places of other mounts below `place`, relative to it."""
    below = f"{place.rstrip('/')}/"
    return tuple(
        mount.destination.removeprefix(below).rstrip("/")
        for mount in container.mounts
        if mount.destination.startswith(below)
    )
