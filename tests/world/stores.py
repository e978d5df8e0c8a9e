"""Stores in memory: words with both sides of a store, and content that is only read, with its baselines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollproof.baseline.facts import RecordedCollection, RecordedContent, RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.collection import Json
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.store_descriptor import Means
from rollproof.stores.canonical import hashed
from rollproof.stores.contract import (
    HASH_BITS,
    ExportedRecord,
    Pace,
    QueryAnswer,
    Recall,
    RecordHash,
    Selection,
    Vector,
)
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, write_package
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener
from rollproof.stores.snapshot import Snapshot
from tests.world.baseline import FACTS

COLLECTION = "words"


@dataclass
class WordStore(StoreKeeper):
    """A store of words by key; a backup holds them all. `dead` says that it cannot be asked.

    `loses` are keys that an export forgets. `meanwhile` is what happens during a restore. `bounds` are the
    only division by key that it takes. One that is `emptied` by a restore gets nothing back. It leaves out of
    records that are put back what it `lacks`. What `stays` is not deleted, though asked to.
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
    lacks: set[str] = field(default_factory=set)
    stays: frozenset[str] = frozenset()

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

        def remove(record: ExportedRecord) -> None:
            if record.key not in self.stays:
                del self.words[record.key]

        yield Put(write, remove=remove, left_out=self.lacks)


@dataclass
class WordReader(Reader):
    """Reads a store of words, and exports them."""

    store: WordStore

    def __post_init__(self) -> None:
        self.name, self.kind = self.store.name, "words"

    def ask(self) -> QueryAnswer:
        raise NotImplementedError

    def _require(self, bounds: Sequence[str] | None = None) -> None:
        if self.store.dead or (bounds is not None and tuple(bounds) != self.store.bounds):
            raise Unverifiable(what=self.name, expected="an answer", observed="none", source="-", hint="-")

    def collections(self) -> Sequence[str]:
        self._require()
        return (COLLECTION,)

    def count(self, collection: str) -> int:
        return len(self.store.words)

    def schemas(self) -> Mapping[str, Json]:
        return {COLLECTION: {}}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        self._require()
        return self.store.bounds

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        self._require(division)
        for part in parts:
            for key, word in tuple(self.store.words.items()):
                if bisect_right(division, key) - 1 == part:
                    yield (part, RecordHash(key, hashed(f"{key}={word}".encode(), HASH_BITS)))

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        wanted = selection.wanted
        for part, record in self.records(selection.collection, selection.division, tuple(wanted), pace):
            if (record.key, record.hash) in wanted.get(part, ()) and record.key not in self.store.loses:
                word = self.store.words[record.key]
                yield ExportedRecord(record.key, record.hash, word)


Records = Mapping[str, Sequence[RecordHash]]


@dataclass
class Content(Reader):
    """Records by collection; each collection is one part. `hidden` ones have no schema."""

    name: str
    content: Records
    hidden: frozenset[str] = frozenset()
    kind = "stand-in"
    blind_spots: tuple[str, ...] = ()

    def ask(self) -> QueryAnswer:
        raise NotImplementedError

    def collections(self) -> Sequence[str]:
        return list(self.content)

    def count(self, collection: str) -> int:
        return len(self.content[collection])

    def schemas(self) -> Mapping[str, Json]:
        return {name: {} for name in self.content if name not in self.hidden}

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        return ("",)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        for record in self.found(collection):
            yield 0, record

    def found(self, collection: str) -> Sequence[RecordHash]:
        if collection not in self.content:
            raise Unverifiable(
                what=f"collection {collection}", expected="there", observed="none", source=self.name, hint="-"
            )
        return self.content[collection]

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        for part, record in self.records(selection.collection, selection.division, (0,), pace):
            if (record.key, record.hash) in selection.wanted.get(part, ()):
                yield ExportedRecord(record.key, record.hash, record.key)


@dataclass
class Searchable(Content):
    """A store of vectors too, with positions; `astray` is where those are now, None when it does not say."""

    kind = "vectors"
    astray: Sequence[str] | None = ()

    def vectors(self, collection: str, most: int) -> tuple[Vector, ...]:
        return ((1.0,),)

    def recall(self, collection: str, queries: Sequence[Vector]) -> Recall | None:
        """The index finds the record k1 alone."""
        found = float(any(record.key == "k1" for record in self.found(collection)))
        return Recall(found, found)

    def positions(self) -> Mapping[str, Json]:
        return {"group": 1}

    def position_faults(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        if self.astray is None:
            self.found("positions")
        return self.astray or ()


@dataclass
class BaselineRecorder:
    """Makes baselines of stand-ins, without those of their collections that were `volatile` then."""

    folder: Path
    volatile: frozenset[str] = frozenset()
    stores: dict[str, RecordedStore] = field(default_factory=dict)
    contents: dict[str, RecordedContent] = field(default_factory=dict)
    demands: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)

    def add(self, content: Content) -> BaselineRecorder:
        read = [name for name in content.content if name not in self.volatile]
        self.stores[content.name] = RecordedStore(
            content.kind, "server", {name: len(found) for name, found in content.content.items()}
        )
        self.contents[content.name] = RecordedContent(
            schemas=content.schemas(),
            collections={name: self._collection(content, name) for name in read},
            positions=content.positions() if isinstance(content, Searchable) else {},
            blind_spots=content.blind_spots,
        )
        return self

    def _collection(self, content: Content, name: str) -> RecordedCollection:
        file = f"records/{content.name}/{name}.db"
        with Snapshot(self.folder / file, new=True) as snapshot:
            snapshot.add(name, 0, "", content.content[name])
        digests = [digest for _, digest in content.digest(name, ("",), [0], Pace())]
        vectors = content.vectors(name, 1)
        return RecordedCollection(
            ("",), tuple(digests), file, (), 0.1, vectors, content.recall(name, vectors)
        )

    @property
    def baseline(self) -> Baseline:
        facts = replace(FACTS, stores=self.stores, contents=self.contents, demands=self.demands)
        return Baseline(self.folder, "sandbox", "2026-12-03T12:00:00+00:00", facts)


def opener(*readers: Content) -> ReaderOpener:
    """Return what opens one of `readers`, by its name."""
    by_name = {reader.name: reader for reader in readers}
    return lambda name, *_, **__: by_name[name]
