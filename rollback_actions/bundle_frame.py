"""What is in a bundle around its files: headers, padding, ends. A reader of archives sees nothing of that.

So somebody could hide something there, and every hash of a file would still be right. All of it is as
`write_bundle` writes it, or the bundle is another one.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from rollback_actions.bundle import Manifest, member_of

_CHUNK = 1024 * 1024
# Of a packed file: its kind, no flags, and no time; what comes after that is of the packer.
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
_WITH_HEAD = 16 + zlib.MAX_WBITS


def wrong_frame(raw: BinaryIO, manifest: Manifest, members: Iterable[tuple[str, int]]) -> str:
    """Return what around the `members`, names and sizes in their order, is not as written; "" if nothing.

    Raises:
        zlib.error: it is no packed file. OSError: it cannot be read.
    """
    raw.seek(0)
    if raw.read(len(_HEAD)) != _HEAD:
        return "a comment, name or time in the head of the packed file"
    raw.seek(0)
    unpacked = _Unpacked(raw)
    for name, size in members:
        header = member_of(manifest, name, size).tobuf(tarfile.PAX_FORMAT)
        if unpacked.read(len(header)) != header:
            return f"another header of {name!a}"
        unpacked.skip(size)
        if any(unpacked.read(-size % tarfile.BLOCKSIZE)):
            return f"something in the padding after {name!a}"
    while data := unpacked.read(_CHUNK):
        if any(data):
            return "something after the last file"
    return "something after the end of the packed file" if unpacked.rest() else ""


class _Unpacked:
    """The bytes of the first packed file in a stream, one after another."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._inflate = zlib.decompressobj(_WITH_HEAD)
        self._left = b""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        while len(self._left) < size and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._raw.read(_CHUNK)
            if not packed:
                break
            self._left += self._inflate.decompress(packed, _CHUNK)
        found, self._left = self._left[:size], self._left[size:]
        return found

    def skip(self, size: int) -> None:
        """Go on by so many bytes."""
        while size > 0 and (data := self.read(min(size, _CHUNK))):
            size -= len(data)

    def rest(self) -> bytes:
        """Return the beginning of what comes after the packed file."""
        return self._inflate.unused_data or self._raw.read(1)
