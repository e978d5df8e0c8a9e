"""The pure parts of the export of S3 objects."""

from __future__ import annotations

from dataclasses import replace

from rollproof.stores.s3.objects import StoredObject
from rollproof.stores.s3.reader import hashes

FOUND = StoredObject("b", "key", None, "", 4, "0102", {"content-type": "text/plain"}, {"a": "b"})


def test_a_reader_that_is_not_told_of_tags_has_another_hash() -> None:
    nothing: frozenset[str] = frozenset()
    untold = replace(FOUND, tags={})
    assert hashes(FOUND, nothing) == {FOUND.record(nothing).hash, untold.record(nothing).hash}
    assert len(hashes(FOUND, nothing)) == 2
    assert len(hashes(FOUND, frozenset({"tags"}))) == len(hashes(untold, nothing)) == 1
