"""A collection's records part by part: as they are read, and kept as one block a part: keys and hashes.

A block is read only if its part differs, to find the differing records. So memory holds one part at a time.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import IO

from rollproof.errors import Unverifiable
from rollproof.home import typed
from rollproof.reading import open_regular
from rollproof.stores.contract import ContentView, Digest, Pace, RecordHash

# The fastest: hashes do not compress, and keys compress at any level.
_LEVEL = 1
_READ_BYTES = 1 << 18


def read_parts(
    content: ContentView, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
) -> Iterator[tuple[int, Iterator[RecordHash]]]:
    """Yield each of `parts` with its current records, which must be read before the next part.

    Raises:
        Unverifiable: the store does not answer, or its reader reads other parts, or in another order.
    """
    if not parts:
        return
    left = deque(parts)
    found = content.records(collection, division, parts, pace)
    for part, records in groupby(found, key=lambda pair: pair[0]):
        if part not in left:
            raise not_as_asked(collection, f"records of part {part}", content.name)
        while left[0] != part:
            yield left.popleft(), iter(())
        yield left.popleft(), (record for _, record in records)
    for part in left:
        yield part, iter(())


def not_as_asked(collection: str, observed: str, source: str) -> Unverifiable:
    """Return the error for a reader that does not answer for each part that it was asked for, once."""
    return Unverifiable(
        what=f"content of {collection}",
        expected="each part that was asked for, once",
        observed=observed,
        source=source,
        hint="this is a fault of the suite: report it with the profile",
    )


class Counted(Iterator[RecordHash]):
    """An iterator that digests the records it passes on."""

    def __init__(self, records: Iterator[RecordHash]) -> None:
        """Take the records."""
        self._records = records
        self.digest = Digest(0, 0)

    def __next__(self) -> RecordHash:
        """Return the next record."""
        record = next(self._records)
        self.digest += Digest(1, record.hash)
        return record


def new_blocks(path: Path) -> IO[bytes]:
    """Open a new file of blocks for this user alone, as record keys are private; make its folder."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def write_block(stream: IO[bytes], records: Iterable[RecordHash]) -> tuple[int, int]:
    """Append one part's records; return offset and length of its block."""
    offset, compressor = stream.tell(), zlib.compressobj(_LEVEL)
    for record in records:
        stream.write(compressor.compress(_line(record)))
    stream.write(compressor.flush())
    return offset, stream.tell() - offset


def read_block(path: Path, offset: int, length: int) -> Iterator[RecordHash]:
    """Yield the records of one block.

    Raises:
        Unverifiable: it is no block of records. A signed baseline's manifest shows that earlier.
    """
    try:
        with open_regular(path) as stream:
            stream.seek(offset)
            yield from _records(_unpacked(stream, length))
    except (OSError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise Unverifiable(
            what="records of the baseline",
            expected=f"a block of them, {length} bytes at {offset}",
            observed=f"{type(error).__name__}: {error}",
            source=str(path),
            hint=f"capture a new baseline: {typed('capture')}",
        ) from None


def spread(records: Iterable[RecordHash], folder: Path, count: int) -> Iterator[Iterator[RecordHash]]:
    """Write `records` into `count` files in a new `folder`, by key; then yield each file's records.

    Records with equal keys share a file; with the same `count`, a key always has the same file number.
    """
    folder.mkdir()
    paths = [folder / str(number) for number in range(count)]
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("wb")) for path in paths]
        for record in records:
            files[zlib.crc32(record.key.encode(errors="surrogatepass")) % count].write(_line(record))
    for path in paths:
        with open_regular(path) as stream:
            yield _records(stream)


def _line(record: RecordHash) -> bytes:
    values = [record.key, record.hash, record.expires, dict(record.fields)]
    return f"{json.dumps(values)}\n".encode()


def _unpacked(stream: IO[bytes], length: int) -> Iterator[bytes]:
    """Yield a block's lines; memory holds little at a time."""
    unpack, rest = zlib.decompressobj(), b""
    while length:
        packed = stream.read(min(_READ_BYTES, length))
        if not packed:
            raise ValueError("the block is cut short")
        length -= len(packed)
        *lines, rest = (rest + unpack.decompress(packed)).split(b"\n")
        yield from lines
    if rest or not unpack.eof:
        raise ValueError("the block is cut short")


def _records(lines: Iterable[bytes]) -> Iterator[RecordHash]:
    for line in lines:
        yield _record(*json.loads(line))


def _record(key: str, value: int, expires: float | None, fields: dict[str, int]) -> RecordHash:
    # JSON may have held other types, and type hints are not enforced.
    kinds = ((key, str), (value, int), (expires, int | float | None), (fields, dict))
    if not all(isinstance(what, kind) for what, kind in kinds):
        raise TypeError("no record")
    return RecordHash(key, value, fields, expires)
