"""The export of records that have keys to be asked for by: block by block, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic

from fixtures.stores.content import Pace
from fixtures.stores.vector_scan import BLOCK_BYTES, FIRST
from rollback_actions.stores.export import ExportedRecord, Wanted


def exported_by_key(
    wanted: Mapping[int, Wanted], read: Callable[[Sequence[str]], Sequence[ExportedRecord]], pace: Pace
) -> Iterator[ExportedRecord]:
    """Yield the records of `wanted` that are there, in that version.

    `read` returns those that are there of some keys, in whatever version. The parts do not matter to it, so
    that nothing is read which is not wanted.
    """
    every = sorted(pair for pairs in wanted.values() for pair in pairs)
    begin, limit = 0, FIRST
    while begin < len(every):
        block = frozenset(every[begin : begin + limit])
        begin += limit
        started = monotonic()
        found = read(sorted({key for key, _ in block}))
        seconds = monotonic() - started
        yield from (record for record in found if (record.key, record.hash) in block)
        size = sum(len(record.replay) for record in found)
        limit = pace.next_size(max(1, len(found)), seconds)
        if size:
            limit = max(1, min(limit, BLOCK_BYTES * len(found) // size))
