"""The versions of RDB, in which Redis and Valkey write their files and each dumped value.

A server reads its own version and every earlier one, and refuses a later one. Valkey 9 refuses besides what
Redis 7.4 and later write: 12 to 79 are not its own. Source: ``RDB_VERSION`` in `src/rdb.h` of each release.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.profile.data_formats import Judgement, Marks, fits, refused, release_of, unknown

RDB = "rdb"
"""The mark of a backup: the highest version in it, 0 for one without a value."""

# By product, the first release of each version; the last entry is the newest known release.
_VERSIONS: Mapping[str, tuple[tuple[tuple[int, int], int], ...]] = {
    "redis": (
        *(((2, 6), 6), ((3, 2), 7), ((4, 0), 8), ((5, 0), 9), ((7, 0), 10), ((7, 2), 11)),
        *(((7, 4), 12), ((8, 6), 13), ((8, 8), 14), ((8, 10), 15)),
    ),
    "valkey": (((7, 2), 11), ((9, 0), 80), ((9, 1), 80)),
}
_FOREIGN_FIRST, _VALKEY_FIRST = 12, 80
# From this release on Valkey may be told to read later versions: rdb-version-check relaxed.
_RELAXED = (8, 1)


def rdb_of_payload(payload: bytes) -> int:
    """Return the version at the end of a value that DUMP gave: two bytes, and eight of a checksum."""
    return int.from_bytes(payload[-10:-8], "little")


def judge(written: Marks, reader: Marks, *, in_place: bool) -> Judgement:
    """Return whether the server of `reader` reads what `written` tells; see `Descriptor.judge`."""
    if not in_place and written.get("restore") == "flush":
        return fits("nothing: a restore flushes it")
    wrote, reads = _rdb(written), _rdb(reader)
    if wrote is None or reads is None:
        return _by_release(written, reader)
    valkey = _product(reader) == "valkey"
    text = f"RDB version {wrote} of {_text(written)}; {_text(reader)} writes {reads}"
    if valkey and reads >= _VALKEY_FIRST and _FOREIGN_FIRST <= wrote < _VALKEY_FIRST:
        return refused(f"{text}, and takes none of {_FOREIGN_FIRST} to {_VALKEY_FIRST - 1}")
    if wrote > reads and valkey and (release_of(reader) or _RELAXED) >= _RELAXED:
        return unknown(f"{text}: it depends on its rdb-version-check")
    return fits(text) if wrote <= reads else refused(text)


def _by_release(written: Marks, reader: Marks) -> Judgement:
    """Judge by the releases alone: a later one of the same product reads what an earlier one wrote."""
    before, now = release_of(written), release_of(reader)
    if before and now and _product(written) == _product(reader) and now >= before:
        return fits(f"{_text(reader)} reads what {_text(written)} wrote")
    return unknown(f"the RDB version of {_text(written)}, or that of {_text(reader)}")


def _text(marks: Marks) -> str:
    return f"{_product(marks)} {marks.get('server', 'unknown')}"


def _product(marks: Marks) -> str:
    return str(marks.get("product", "redis"))


def _rdb(marks: Marks) -> int | None:
    """Return the RDB version in `marks`, or that of the server's release; None if it is not known."""
    if isinstance(recorded := marks.get(RDB), int):
        return recorded
    found, versions = release_of(marks), _VERSIONS.get(_product(marks), ())
    if found is None or not versions or not versions[0][0] <= found[:2] <= versions[-1][0]:
        return None
    return max(rdb for first, rdb in versions if first <= found[:2])
