"""Ways in which the package of a backup can be another than the one that was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rollproof.stores.package import MANIFEST
from rollproof.system.record_files import sealed_json


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _resealed(**changes: object) -> Callable[[Path], None]:
    """Return what changes a manifest and seals it again: only what it says is another."""

    def change(path: Path) -> None:
        path.write_bytes(sealed_json(json.loads(path.read_bytes()) | changes))

    return change


_DATA: Mapping[str, Callable[[Path], None]] = {"cut": _cut, "flipped": _flip, "missing": Path.unlink}
_MANIFEST: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "the manifest cut": (_cut, MANIFEST),
    "the manifest flipped": (_flip, MANIFEST),
    "unfinished": (Path.unlink, MANIFEST),
    "of another store": (_resealed(kind="another"), "kind another"),
    "of another version": (_resealed(version=2), "version"),
}
SPOILED = (*_DATA, "added", *_MANIFEST)


@contextmanager
def spoiled(folder: Path, how: str) -> Iterator[str]:
    """Spoil the package in `folder` in one of the ways of `SPOILED`, and mend it; give what is to be told."""
    manifest = folder / MANIFEST
    data = [path for path in folder.rglob("*") if path.is_file() and path != manifest]
    largest = max(data, key=lambda path: path.stat().st_size)
    if how == "added":
        added = largest.with_name(f"{largest.name}.copy")
        added.write_bytes(b"")
        yield added.name
        added.unlink()
        return
    victim = largest if how in _DATA else manifest
    whole = victim.read_bytes()
    damage, told = (_DATA[how], largest.name) if how in _DATA else _MANIFEST[how]
    damage(victim)
    try:
        yield told
    finally:
        victim.write_bytes(whole)
