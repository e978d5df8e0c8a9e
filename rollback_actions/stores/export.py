"""What every store's export offers: records whole, as people read them and as its own tools take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from fixtures.stores.content import Json, Pace

Wanted = frozenset[tuple[str, int]]
"""Records of one part: key and hash of each, as `ContentView.records` gives them."""


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """One record: its key and hash as `ContentView.records` gives them, and what it holds.

    `content` is for people; bytes that are no text are ``{"base64": …}``. `replay` is one line that the tool
    named by `RecordExport.how_to_replay` takes; it is empty where no line says the record exactly, and then
    `content` names a file that does.
    """

    key: str
    hash: int
    content: Json
    replay: str


class RecordExport(Protocol):
    """Reads whole records of one store. See `StoreKeeper` for errors; changes nothing in the store."""

    name: str
    kind: str

    def how_to_replay(self, collection: str) -> str:
        """Return the shell command that takes the `replay` lines of a collection from its standard input."""
        ...

    def export(
        self,
        collection: str,
        division: Sequence[str],
        wanted: Mapping[int, Wanted],
        folder: Path,
        pace: Pace,
    ) -> Iterator[ExportedRecord]:
        """Yield the records that `wanted` names by part (an index into `division`), each once, in any order.

        Memory holds a bounded number of them. A record that is there no more, or in another version, is left
        out: the caller counts. What does not belong into a line, such as the content of an object, goes into
        a file in `folder`, which exists and is this store's alone.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...

    def __enter__(self) -> Self:
        """Return the export itself."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Close the export."""
        ...
