"""Archives that look like bundles, made to cost their reader memory and time: NAME SIZE PATH writes one.

Some cost who makes them more than a test may have, so a process apart makes them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rollproof.system.files import canonical_json

_PACKED = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
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
    """Return a packed archive of these parts, with the head of a bundle and of its end."""
    tar = b"".join(parts)
    end = bytes(2 * tarfile.BLOCKSIZE + -(len(tar) + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)
    return _PACKED + gzip.compress(tar + end, compresslevel=1, mtime=0)[len(_PACKED) :]


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


_HEAD = _PACKED + gzip.compress(b"", mtime=0)[len(_PACKED) :]
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


def bundle_of(files: Mapping[str, bytes], left_out: Mapping[str, str] | None = None) -> bytes:
    """Return a bundle with these files and an incident, every byte around them as it has to be."""
    own = canonical_json({"target": "x", "started": {"wall": "2026-03-14T09:10:00+00:00"}})
    every = {"incident.json": own, **files}
    held = {
        name: {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()} for name, text in every.items()
    }
    members = [member(f"one/{name}", every[name]) for name in sorted(every, key=lambda one: one.split("/"))]
    return packed(member(FIRST, manifest(held, left_out=left_out or {})), *members)


def chain_of(entries: int, lines: int) -> dict[str, bytes]:
    """Return an unsigned chain of so many entries, each of so many files, none of which is there."""
    before, text = "0" * 64, []
    for number in range(entries):
        files = [f"{'0' * 64}  y{number}_{one}" for one in range(lines)]
        entry: dict[str, Any] = {"by": "x", "event": "sealed", "files": files, "found": [], "gone": ["z"]}
        entry |= {"sequence": number, "previous": before, "signature": ""}
        before = entry["hash"] = hashlib.sha256(canonical_json(entry)).hexdigest()
        text.append(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")
    return {"chain.jsonl": "".join(text).encode(), "chain.head": f"{entries - 1:012d} {before}\n".encode()}


RECORDS: Mapping[str, Callable[[int], bytes]] = {
    "many names left out, many files sealed": lambda size: bundle_of(
        chain_of(1, 25 * size), {f"n{number}": "x" for number in range(size)}
    ),
    "many entries": lambda size: bundle_of(chain_of(size // 2, 40)),
    "a record of many lists": lambda size: bundle_of(
        {"journal.jsonl": b"[" + b"[]," * (300 * size) + b"[]]\n"}
    ),
    "many lines": lambda size: bundle_of({"journal.jsonl": b"{}\n" * (100 * size)}),
    "many results": lambda size: bundle_of(
        {f"ledger/{number:04d}/run.json": b"{}" for number in range(size)}
    ),
    "many digits": lambda size: bundle_of({"journal-end.txt": b"9" * (300 * size) + b" a b\n"}),
    "a long journal that is another one": lambda size: bundle_of(
        {"samples.jsonl": b"\n" * (300 * size), **chain_sealing("samples.jsonl")}
    ),
    "a large file": lambda size: bundle_of({"big.bin": bytes(8192 * size)}),
    "a long number as a name": lambda size: bundle_of({f"ledger/{'9' * size}/run.json": b"{}"}),
}
"""Functions that make bundles whose record is made to cost its reader memory and time, of a size."""


def chain_sealing(name: str) -> dict[str, bytes]:
    """Return a chain that seals a file which has other bytes."""
    files = chain_of(1, 1)
    entry = {**json.loads(files["chain.jsonl"]), "files": [f"{'0' * 64}  {name}"]}
    del entry["hash"]
    entry["hash"] = hashlib.sha256(canonical_json(entry)).hexdigest()
    line = json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n"
    return {"chain.jsonl": line.encode(), "chain.head": f"{0:012d} {entry['hash']}\n".encode()}


if __name__ == "__main__":
    name, size, path = sys.argv[1:]
    Path(path).write_bytes(BOMBS[name]() if name in BOMBS else RECORDS[name](int(size)))
