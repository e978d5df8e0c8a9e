"""The versions of RDB, in which Redis and Valkey write their files and each dumped value.

Source: ``RDB_VERSION`` in `src/rdb.h` of each release.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.profile.data_formats import Format, Marks, minor_version

# By product, the first release of each version; the last entry is the newest known release.
_VERSIONS: Mapping[str, tuple[tuple[Format, int], ...]] = {
    "redis": (
        *(((2, 6), 6), ((3, 2), 7), ((4, 0), 8), ((5, 0), 9), ((7, 0), 10), ((7, 2), 11)),
        *(((7, 4), 12), ((8, 6), 13), ((8, 8), 14), ((8, 10), 15)),
    ),
    "valkey": (((7, 2), 11), ((9, 0), 80), ((9, 1), 80)),
}


def rdb_version(marks: Marks) -> Format | None:
    """Return the RDB version of a server's release; None for a release that is not known here."""
    release, versions = minor_version(marks), _VERSIONS.get(str(marks.get("product")), ())
    if release is None or not versions or not versions[0][0] <= release <= versions[-1][0]:
        return None
    return (max(rdb for first, rdb in versions if first <= release),)
