"""The documented rules of MySQL and MariaDB for dumps and data directories of other versions.

Sources: "Downgrade Paths" and "Upgrade Paths" in MySQL's manuals of 8.0 and 8.4. MariaDB's are "Downgrading
between Major Versions" and "MariaDB Dump File Compatibility Change". Since those releases, a dump begins with
a line that no earlier client takes.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.profile.data_formats import (
    Judgement,
    Marks,
    Release,
    fits,
    refused,
    release_of,
    unknown,
    unversioned,
)

MARIADB, MYSQL = "mariadb", "mysql"

_Series = tuple[int, int]
# Series of MySQL with long support, in order; between two of them are innovations.
_LONG: tuple[_Series, ...] = ((5, 5), (5, 6), (5, 7), (8, 0), (8, 4), (9, 7))
_FIRST_WITH_DICTIONARY = (8, 0)
# The first release of 8.0 to which a server may go back in place.
_DOWN_TO: Release = (8, 0, 35)
# The releases of MariaDB whose dumps begin with the line of the sandbox mode, and those that take it.
_SANDBOX: Mapping[_Series, int] = {
    (10, 5): 25,
    (10, 6): 18,
    (10, 11): 8,
    (11, 0): 6,
    (11, 1): 5,
    (11, 2): 4,
    (11, 4): 2,
}
_LAST_WITHOUT = (11, 4)


def judge(written: Marks, reader: Marks, *, in_place: bool) -> Judgement:
    """Return whether the server of `reader` reads what `written` tells; see `Descriptor.judge`."""
    wrote, reads = release_of(written), release_of(reader)
    if wrote is None or reads is None:
        return unversioned(written, reader)
    of, to = str(written.get("flavour")), str(reader.get("flavour"))
    what = "data directory" if in_place else "dump"
    text = f"{what} of {of} {written['server']}, for {to} {reader['server']}"
    if of != to:
        if in_place and of == MYSQL and wrote[:2] < _FIRST_WITH_DICTIONARY:
            return unknown(f"{text}: it depends on both versions")
        return refused(f"{text}: another product")
    if of == MARIADB:
        return _mariadb(wrote, reads, text, in_place=in_place)
    return _mysql_in_place(wrote, reads, text) if in_place else _mysql_dump(wrote, reads, text)


def _mariadb(wrote: Release, reads: Release, text: str, *, in_place: bool) -> Judgement:
    if not in_place and _has_sandbox(wrote) and not _has_sandbox(reads):
        return refused(f"{text}, whose client does not take the dump's first line (sandbox mode)")
    if wrote[:2] <= reads[:2]:
        return fits(text)
    if in_place:
        return refused(f"{text}: an earlier series")
    return unknown(f"{text}: an earlier series takes what uses nothing newer")


def _has_sandbox(release: Release) -> bool:
    series, patch = release[:2], release[2]
    if series > _LAST_WITHOUT:
        return True
    return series in _SANDBOX and patch >= _SANDBOX[series]


def _mysql_dump(wrote: Release, reads: Release, text: str) -> Judgement:
    before, now = wrote[:2], reads[:2]
    if before == now:
        return fits(text)
    if before < now:
        return _upgrade(before, now, text)
    if now < _FIRST_WITH_DICTIONARY <= before:
        return refused(f"{text}: not supported from 8.0 on")
    return unknown(f"{text}: an earlier series takes what uses nothing newer")


def _mysql_in_place(wrote: Release, reads: Release, text: str) -> Judgement:
    before, now = wrote[:2], reads[:2]
    if before < now:
        return _upgrade(before, now, text)
    if before > now:
        return refused(f"{text}: an earlier series")
    back = before in _LONG and (now != _DOWN_TO[:2] or reads >= _DOWN_TO)
    if wrote <= reads or back:
        return fits(text)
    if before > _LONG[-1]:
        return unknown(f"{text}: a series that is not known here")
    return refused(f"{text}: an earlier one, of an innovation series, or of 8.0 below 8.0.35")


def _upgrade(before: _Series, now: _Series, text: str) -> Judgement:
    """Judge a later series: the next one with long support, or an innovation up to that."""
    if now > _LONG[-1]:
        return unknown(f"{text}: a series that is not known here")
    first, last = (sum(series < each for series in _LONG) for each in (before, now))
    if last - first <= (1 if before in _LONG else 0):
        return fits(text)
    return unknown(f"{text}: more than one series with long support further on")
