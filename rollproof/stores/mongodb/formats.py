"""The feature compatibility version, by which MongoDB marks what its data may hold.

In place, a server opens data files of its own version and of the release before it. Documents may be restored
into the same release, or one with the same feature compatibility version. Into a later one they may too, but
not their indexes and options; into an earlier one they may not. Source: MongoDB's manual, "Restore to
Matching Server Version" of mongorestore, and the downgrade pages of each release.
"""

from __future__ import annotations

from rollproof.profile.data_formats import Judgement, Marks, fits, refused, release_of, unknown, unversioned

FCV = "fcv"

_MAJOR = ((3, 4), (3, 6), (4, 0), (4, 2), (4, 4), (5, 0), (6, 0), (7, 0), (8, 0))


def judge(written: Marks, reader: Marks, *, in_place: bool) -> Judgement:
    """Return whether the server of `reader` reads what `written` tells; see `Descriptor.judge`."""
    wrote, reads = release_of(written), release_of(reader)
    if wrote is None or reads is None:
        return unversioned(written, reader)
    before, now = wrote[:2], reads[:2]
    marked = release_of(written, FCV)
    # Unless somebody set it back, the mark is that of the server.
    mark = marked[:2] if marked else before
    text = f"data of version {_text(mark)}, of MongoDB {written['server']}, for MongoDB {reader['server']}"
    if in_place:
        if marked is None:
            return unknown(f"{text}: its feature compatibility version is not known")
        return _in_place(mark, now, text)
    own = release_of(reader, FCV)
    if before == now or mark == (own[:2] if own else now):
        return fits(text)
    if mark > now:
        return refused(f"{text}: an earlier one")
    return unknown(f"{text}: another release takes documents, and perhaps not each index and option")


def _in_place(mark: tuple[int, int], now: tuple[int, int], text: str) -> Judgement:
    if mark == now:
        return fits(text)
    if mark > now:
        return refused(f"{text}: an earlier one")
    if mark not in _MAJOR or now not in _MAJOR:
        return unknown(f"{text}: not both are major releases")
    if _MAJOR.index(now) - _MAJOR.index(mark) == 1:
        return fits(text)
    return refused(f"{text}: it opens those of {_text(now)} and of the release before it")


def _text(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
