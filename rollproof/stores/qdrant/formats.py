"""Qdrant's documented rules for snapshots and storage of other versions.

A snapshot is restored into the same minor version, and no earlier patch of it. Storage may be opened by the
next minor version; it is migrated then, and there is no way back. Sources: Qdrant's pages on snapshots
("Restore") and on versioning ("Do you support downgrades?").
"""

from __future__ import annotations

from rollproof.profile.data_formats import Judgement, Marks, fits, refused, release_of, unknown, unversioned


def judge(written: Marks, reader: Marks, *, in_place: bool) -> Judgement:
    """Return whether the server of `reader` reads what `written` tells; see `Descriptor.judge`."""
    wrote, reads = release_of(written), release_of(reader)
    if wrote is None or reads is None:
        return unversioned(written, reader)
    what = "storage" if in_place else "snapshots"
    text = f"{what} of Qdrant {written['server']}, for Qdrant {reader['server']}"
    if wrote > reads:
        return refused(f"{text}: an earlier one")
    if wrote[:2] == reads[:2]:
        return fits(text)
    if in_place and wrote[0] == reads[0] and reads[1] - wrote[1] == 1:
        return fits(text)
    return unknown(f"{text}: {'more than one' if in_place else 'another'} minor version")
