"""Archives that look like bundles, made to cost their reader memory and time."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

from fixtures.system.files import canonical_json

EMPTY = hashlib.sha256(b"").hexdigest()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return the header and content of one file of an archive, as a bundle has them."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode = len(content), kind, 0o644
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def manifest(files: Mapping[str, Any], **more: object) -> bytes:
    """Return a manifest with its own hash."""
    content = {"incident": "one", "target": "x", "files": files, "left_out": {}, "version": 1, **more}
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    return canonical_json({"content": content, "sha256": digest})


def packed(*parts: bytes) -> bytes:
    """Return a packed archive of these parts."""
    return gzip.compress(b"".join(parts) + bytes(2 * tarfile.BLOCKSIZE), compresslevel=1, mtime=0)


FIRST = "one/bundle.json"


def _many_files() -> bytes:
    names = [f"{number:06d}" for number in range(199_000)]
    files = {name: {"size": 0, "sha256": EMPTY} for name in names}
    return packed(member(FIRST, manifest(files)), *(member(f"one/{name}") for name in names[:2000]))


def _chained() -> bytes:
    return packed(member("x", b"20 path=one/" + b"x" * 60_000, tarfile.XHDTYPE) * 2_000)


def _of_size(size: int) -> bytes:
    info = tarfile.TarInfo("one/x")
    info.pax_headers = {"size": str(size)}
    return packed(info.tobuf(tarfile.PAX_FORMAT))


_HEAD = gzip.compress(b"", mtime=0)
_LARGE = {"x": {"size": 2 * 1024**3, "sha256": EMPTY}}
BOMBS: Mapping[str, Callable[[], bytes]] = {
    "many lists": lambda: packed(member(FIRST, b"[" + b"[]," * 20_000_000 + b"[]]")),
    "many lists within the limit": lambda: packed(member(FIRST, b"[" + b"[]," * 2_700_000 + b"[]]")),
    "deep lists": lambda: packed(member(FIRST, b"[" * 8_000_000)),
    "deep objects within the limit": lambda: packed(member(FIRST, b'{"a":' * 60_000)),
    "a long number": lambda: packed(member(FIRST, b"1" * 8_000_000)),
    "a long text": lambda: packed(member(FIRST, b'"' + b"password=" * 800_000 + b'"')),
    "a list as content": lambda: packed(member(FIRST, b'{"content": [], "sha256": "x"}')),
    "a long name": lambda: packed(member("one/" + "x" * 60_000_000)),
    "a long name beside": lambda: packed(member(FIRST, manifest({})), member("one/" + "x" * 60_000)),
    "many files": _many_files,
    "the same file many times": lambda: packed(member(FIRST, manifest({})), member("one/x") * 199_000),
    "much of nothing": lambda: packed(member(FIRST, manifest(_LARGE)), member("one/x", bytes(200_000_000))),
    "zeros": lambda: packed(bytes(200_000_000)),
    "many headers": _chained,
    "a name without end": lambda: _HEAD[:3] + b"\x08" + _HEAD[4:10] + b"x" * 30_000_000,
    "an empty one before it": lambda: _HEAD + packed(member(FIRST, manifest({}))),
    "a size below 0": lambda: _of_size(-1),
    "a size of 80 bits": lambda: _of_size(2**80),
}
"""Functions that make such archives, by their names."""
