"""Stores that are words, for what the engine of rollbacks does with any store: write side, reader, export."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rollback_actions.rollback import replay
from rollproof.backups import index
from rollproof.collection import Json
from rollproof.errors import Meaning, Unverifiable
from rollproof.losses import accounting, changes, lost_window
from rollproof.profile.store_descriptor import Means
from rollproof.stores.canonical import hashed
from rollproof.stores.contract import HASH_BITS, Answer, Digest, ExportedRecord, Pace, RecordHash, Selection
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, write_package
from rollproof.stores.reader import Reader

COLLECTION = "words"


@dataclass
class WordStore(StoreKeeper):
    """A store of words by key; a backup holds them all. `dead` says that it cannot be asked.

    `loses` are keys that an export forgets. `meanwhile` is what happens during a restore. `bounds` are the
    only division by key that it takes. One that is `emptied` by a restore gets nothing back.
    """

    name: str
    kind: str
    words: dict[str, str] = field(default_factory=lambda: {"a": "of release 1", "b": "of both"})
    dead: bool = False
    loses: frozenset[str] = frozenset()
    meanwhile: Callable[[], None] = lambda: None
    bounds: tuple[str, ...] = ("",)
    emptied: bool = False
    trigger: Callable[[str], None] = lambda _: None
    refuses: Mapping[str, Meaning] = field(default_factory=dict)

    def back_up(self, folder: Path) -> Kept:
        """Keep the words."""
        for key, word in self.words.items():
            (folder / key).write_text(word)
        records = {COLLECTION: len(self.words)}
        return write_package(
            folder, kind=self.kind, method="words", means=Means.COPIES, records=records, details={}
        )

    def restore(self, folder: Path) -> Restored:
        """Put the words back; what else happens in that time happens too."""
        self.meanwhile()
        files = () if self.emptied else folder.iterdir()
        self.words = {path.name: path.read_text() for path in files if path.suffix != ".json"}
        self.dead = False
        return Restored({COLLECTION: len(self.words)})

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Put words back; `refuses` says what of which key."""

        def write(record: ExportedRecord) -> None:
            if (means := self.refuses.get(record.key)) is not None:
                raise Unverifiable(
                    what=self.name, expected="room", observed="none", source="-", hint="-", means=means
                )
            self.words[record.key] = str(record.content)
            self.trigger(record.key)

        yield Put(write)


@dataclass
class WordReader(Reader):
    """Reads a store of words, and exports them."""

    store: WordStore

    def __post_init__(self) -> None:
        self.name, self.kind = self.store.name, "words"

    def ask(self) -> Answer:
        raise NotImplementedError

    def collections(self) -> Sequence[str]:
        if self.store.dead:
            raise Unverifiable(what=self.name, expected="an answer", observed="none", source="-", hint="-")
        return (COLLECTION,)

    def count(self, collection: str) -> int:
        return len(self.store.words)

    def schemas(self) -> Mapping[str, Json]:
        return {COLLECTION: {}}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        if self.store.dead:
            raise Unverifiable(what=self.name, expected="an answer", observed="none", source="-", hint="-")
        return self.store.bounds

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        for part in parts:
            found = [record for _, record in self.records(collection, division, [part], pace)]
            yield part, Digest(len(found), sum(record.hash for record in found))

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        if self.store.dead or tuple(division) != self.store.bounds:
            raise Unverifiable(what=self.name, expected="a bound", observed="none", source="-", hint="-")
        for part in parts:
            for key, word in self.store.words.items():
                if bisect_right(division, key) - 1 == part:
                    yield (
                        part,
                        RecordHash(key, hashed(f"{key}={word}".encode(), HASH_BITS)),
                    )

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        wanted = selection.wanted
        for part, record in self.records(selection.collection, selection.division, tuple(wanted), pace):
            if (record.key, record.hash) in wanted.get(part, ()) and record.key not in self.store.loses:
                word = self.store.words[record.key]
                yield ExportedRecord(record.key, record.hash, word)


def readable(stores: Mapping[str, WordStore]) -> ExitStack:
    """Let every reader and export be one of `stores`, until what is returned is closed."""

    def opened(name: str, *_: Any) -> WordReader:  # noqa: ANN401 - whatever the real ones take
        return WordReader(stores[name])

    patches = ExitStack()
    for module, names in (
        (index, ("open_reader",)),
        (lost_window, ("open_reader", "open_exporter")),
        (accounting, ("open_reader",)),
        (changes, ("open_reader",)),
        (replay, ("open_reader",)),
    ):
        for name in names:
            patches.enter_context(patch.object(module, name, opened))
    return patches
