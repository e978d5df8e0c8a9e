"""Milvus' documented rules for data of other versions: volumes are always read in place.

Sources: Milvus' upgrade guides, from one minor version to the next. They say "swapping the image back is
generally not a supported way to go back" once a newer Milvus has written.
"""

from __future__ import annotations

from rollproof.profile.data_formats import Judgement, Marks, fits, refused, release_of, unknown, unversioned


def judge(written: Marks, reader: Marks, *, in_place: bool) -> Judgement:
    """Return whether the server of `reader` reads what `written` tells; see `Descriptor.judge`."""
    del in_place
    wrote, reads = release_of(written), release_of(reader)
    if wrote is None or reads is None:
        return unversioned(written, reader)
    text = f"volumes of Milvus {written['server']}, for Milvus {reader['server']}"
    if wrote[:2] > reads[:2]:
        return refused(f"{text}: an earlier one")
    if wrote > reads:
        return unknown(f"{text}: an earlier patch of the same version")
    if wrote[0] == reads[0] and reads[1] - wrote[1] <= 1:
        return fits(text)
    return unknown(f"{text}: more than one version further on")
