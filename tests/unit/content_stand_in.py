"""A content reader over records in memory, and baselines of what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollproof.baseline.facts import RecordedCollection, RecordedContent, RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Answer, ExportedRecord, Neighbours, Pace, RecordHash, Selection
from rollproof.stores.reader import Reader
from rollproof.stores.snapshot import Snapshot
from tests.unit.baseline.test_baseline import FACTS

Records = Mapping[str, Sequence[RecordHash]]


@dataclass
class StandIn(Reader):
    """Records by collection; each collection is one part. `hidden` ones have no schema."""

    name: str
    content: Records
    hidden: frozenset[str] = frozenset()
    kind = "stand-in"
    blind_spots: tuple[str, ...] = ()

    def ask(self) -> Answer:
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
        raise NotImplementedError


@dataclass
class Searchable(StandIn):
    """A store of vectors too, with positions; `astray` is where those are now, None when it does not say."""

    kind = "vectors"
    astray: Sequence[str] | None = ()

    def golden(self, collection: str, queries: int, limit: int) -> tuple[Neighbours, ...]:
        return (Neighbours((1.0,), ("k1",), (1.0,)),)

    def search_again(self, collection: str, golden: Sequence[Neighbours]) -> tuple[Neighbours, ...]:
        keys = {record.key for record in self.found(collection)}
        return tuple(one if set(one.keys) <= keys else replace(one, scores=(0.5,)) for one in golden)

    def positions(self) -> Mapping[str, Json]:
        return {"group": 1}

    def strayed(self, recorded: Mapping[str, Json]) -> Sequence[str]:
        if self.astray is None:
            self.found("positions")
        return self.astray or ()


@dataclass
class Recorder:
    """Makes baselines of stand-ins, without those of their collections that were `volatile` then."""

    folder: Path
    volatile: frozenset[str] = frozenset()
    stores: dict[str, RecordedStore] = field(default_factory=dict)
    contents: dict[str, RecordedContent] = field(default_factory=dict)
    demands: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)

    def add(self, content: StandIn) -> Recorder:
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

    def _collection(self, content: StandIn, name: str) -> RecordedCollection:
        file = f"records/{content.name}/{name}.db"
        with Snapshot(self.folder / file, new=True) as snapshot:
            snapshot.add(name, 0, "", content.content[name])
        digests = [digest for _, digest in content.digest(name, ("",), [0], Pace())]
        golden = content.golden(name, 1, 1) if isinstance(content, Searchable) else ()
        return RecordedCollection(("",), tuple(digests), file, (), 0.1, golden)

    @property
    def baseline(self) -> Baseline:
        facts = replace(FACTS, stores=self.stores, contents=self.contents, demands=self.demands)
        return Baseline(self.folder, "sandbox", "now", facts)


def opener(*readers: StandIn) -> Callable[..., StandIn]:
    by_name = {reader.name: reader for reader in readers}
    return lambda name, *_: by_name[name]
