"""What a store offers the contract of readers: records that are known, changes of them, and no answers."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import pytest
from pydantic import SecretStr

from rollproof.profile.sections import Account, Address, Port, StoreProfile
from rollproof.stores.contract import (
    FIELD_BITS,
    HASH_BITS,
    Digest,
    Pace,
    RecordHash,
)
from rollproof.stores.reach import ENGINE
from rollproof.stores.reader import Reader
from rollproof.stores.registry import reader_at

SECRET = "correct-horse-battery-staple"  # noqa: S105 - what must not be seen
PATIENCE = 60.0
Act = Callable[[Any], object]
"""What is done to a subject; each kind of subject has acts of its own."""
Seen = Mapping[str, set[str] | None]
"""By key of a record: the names of the fields that differ, or None where it came or went."""
Change = tuple[Act, Seen]
Sizes = Literal["least", "at most", "about"]
"""Parts of a division: as few as there can be and none too large; none too large; or about so large."""
Way = Literal["closed port", "silence", "wrong secret"]


class ContractKeeper(Protocol):
    """What the contract asks of a `StoreKeeper`."""

    def back_up(self, folder: Path) -> object: ...

    def restore(self, folder: Path) -> object: ...


class Subject(ABC):
    """A store with scratch collections: `full` has records that are known, `empty` none.

    Tables of cases belong to the class: tests are collected without a stack, and each case is seen alone.
    """

    store: ClassVar[str]
    """Its name in the profile of the target."""
    changes: Mapping[str, Change]
    """Changes of the records of `full`, each of which must be seen; "lost" and "added" among them."""
    equals: ClassVar[Mapping[str, Act]]
    """Other ways to the same records: of them nothing must be seen."""
    schema_changes: ClassVar[Mapping[str, Act]]
    """Changes of schemas; each may be made after those before it."""
    shapes: ClassVar[Mapping[str, Sizes]]
    """Collections whose keys are hard to divide, and how large the parts must be."""
    ways: ClassVar[Mapping[Way, str]]
    """Ways to be no answer, and what is said then."""
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {}
    """What the reader's account must not be able to write, and what the server says to it."""
    garbled: ClassVar[Mapping[str, str]] = {}
    """Bounds that belong to no division of `full`, and what is said of them."""
    gone: ClassVar[str]
    """What is said of a collection that is not there."""
    nothing: tuple[Mapping[str, Any], str]
    """Changes of the profile after which there is nothing to ask, and what is said then; "" for 0 records."""
    excluded: ClassVar[tuple[str, ...]]
    """Fields to exclude."""
    hidden: ClassVar[str]
    """A change of excluded fields alone."""
    shown: ClassVar[str]
    """A change of other fields."""
    hasty: ClassVar[float] = 0.3
    """A deadline in seconds for who waits in vain."""
    limits: ClassVar[tuple[tuple[object, str, object], ...]] = ()
    """Limits of the readers, each with its owner, and what is put in their place."""
    searchable: ClassVar[bool] = False
    restorable: ClassVar[bool] = True

    profile: StoreProfile
    full: str
    empty: str
    absent: str
    """A name that no collection has."""
    many: str
    """A collection of more records than one request reads, or `full`."""
    searched: str = ""
    """A collection of vectors each of which is nearest to itself, where there are vectors."""
    vector: tuple[float, ...] = ()
    """That of the first record of `full`."""
    keys: frozenset[str]
    """Keys of the records of `full`."""
    server: str
    """What the server's own name has in it."""
    counts: Mapping[str, int]
    """Records of every collection."""
    asked: tuple[str, int]
    """The collection that one question touches, and how many records it sees there."""
    defined: tuple[str, ...] = ()
    """Collections of `define` whose records are compared as well as their schemas."""

    def __init__(self, folder: Path) -> None:
        """Take a folder of its own; nothing is made yet."""
        self.folder = folder

    @abstractmethod
    def fill(self) -> None:
        """Make the scratch collections, whatever an earlier run left."""

    @abstractmethod
    def mend(self) -> None:
        """Give `full` back the records that it had."""

    @abstractmethod
    def clear(self) -> None:
        """Remove the scratch collections, and whatever this holds open."""

    @abstractmethod
    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        """Add records to a shape, some beyond its ends, and remove some from others of its parts.

        Return the keys of those that are now in the first and in the last part.
        """

    def shaped(self, shape: str) -> str:
        """Return the collection of a shape, filled again."""
        return self.full

    def make(self, change: str) -> str:
        """Make a change; return the collection that has it."""
        self.changes[change][0](self)
        return self.full

    @abstractmethod
    def define(self) -> None:
        """Make what `schema_changes` change."""

    @abstractmethod
    def undefine(self) -> None:
        """Remove what `define` made, and what became of it."""

    def spoil(self) -> None:
        """Damage records of `full`, and schemas, for a restore to mend."""
        self.make(self.hidden)
        self.make("added")
        next(iter(self.schema_changes.values()))(self)

    def remove(self, key: str) -> None:
        """Remove a record of `full`."""
        raise NotImplementedError

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Return a profile's exclusion of `fields`."""
        return {self.full: tuple(fields)}

    def refused(self) -> Mapping[str, Any]:
        """Return a change of the profile after which the reader's secret is wrong; none without one."""
        user = getattr(self.profile, "reader").user  # noqa: B009 - not every profile has one
        return {"reader": Account(user=user, password=SecretStr(SECRET))}

    def altered(self, **changes: Any) -> StoreProfile:  # noqa: ANN401 - fields of the profile
        """Return the profile with some fields changed; on a busy machine nothing is late."""
        return self.profile.model_copy(update={"policy": {}, "deadline_seconds": PATIENCE, **changes})

    def reader(self, **changes: Any) -> Reader:  # noqa: ANN401 - likewise
        """Open the reader as a check does, with some fields of the profile changed.

        That of a server overrides this, and gives its endpoint.
        """
        return reader_at(self.store, self.altered(**changes), ENGINE)

    def keeper(self) -> ContractKeeper:
        """Open the write side as a rollback does, if the subject is `restorable`."""
        raise NotImplementedError


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port of this host on which nobody listens: it is held, so that nobody else is given it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def at(port: Port) -> Address:
    """Return the address of a port of this host."""
    return Address(host="127.0.0.1", port=port)


SomeSubject = TypeVar("SomeSubject", bound=Subject)
ONLY = "only(attribute): of the contract, for subjects that have this"


def parametrize(
    metafunc: pytest.Metafunc,
    subjects: Mapping[str, type[SomeSubject]],
    marks: Callable[[type[SomeSubject], bool], Collection[pytest.MarkDecorator]] = lambda *_: (),
) -> None:
    """Give each test the stores it is for, of which `STORES` of its module are a choice, and their shapes.

    `marks` of a case are by its subject, and whether an earlier shape shows the rule.
    """
    if "subject" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only")
    names: Iterable[str] = [
        name
        for name in getattr(metafunc.module, "STORES", subjects)
        if only is None or getattr(subjects[name], only.args[0])
    ]
    if "shape" not in metafunc.fixturenames:
        alone = [pytest.param(name, marks=marks(subjects[name], False)) for name in names]
        metafunc.parametrize("subject", alone, indirect=True, scope="package")
        return
    cases = [
        pytest.param(name, shape, id=f"{name}-{shape}", marks=marks(subjects[name], number > 0))
        for name in names
        for number, shape in enumerate(subjects[name].shapes)
    ]
    metafunc.parametrize(("subject", "shape"), cases, indirect=["subject"], scope="package")


@contextmanager
def filled(subject: SomeSubject) -> Iterator[SomeSubject]:
    """Give a subject, filled, and clear it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for limit in subject.limits:
            monkeypatch.setattr(*limit)
        try:
            subject.fill()
            yield subject
        finally:
            subject.clear()


@pytest.fixture
def mended(subject: Subject) -> Iterator[None]:
    """See that the records are known again at the end of the test."""
    yield
    subject.mend()


@pytest.fixture(scope="package")
def content(subject: Subject) -> Iterator[Reader]:
    """The content reader, open for as long as the store is filled."""
    with subject.reader() as opened:
        yield opened


@pytest.fixture(scope="package")
def before(subject: Subject, content: Reader) -> CollectionState:
    """What there is to read of `full`."""
    return read(content, subject.full)


@dataclass(frozen=True, slots=True)
class CollectionState:
    """Parts and records of a collection as they were at one time."""

    digests: dict[int, Digest]
    records: dict[str, RecordHash]

    def changed(self, later: CollectionState) -> dict[str, set[str] | None]:
        """Return by key what differs in `later`: the names of fields, None for a record that came or went."""
        found: dict[str, set[str] | None] = {}
        for key in self.records.keys() | later.records.keys():
            before, after = self.records.get(key), later.records.get(key)
            if before is None or after is None:
                found[key] = None
            elif before.hash != after.hash:
                names = before.fields.keys() | after.fields.keys()
                found[key] = {n for n in names if before.fields.get(n) != after.fields.get(n)}
        return found


def digests(view: Reader, collection: str, division: Sequence[str] = ("",)) -> list[Digest]:
    """Return the digest of each part, in the order of the parts, having seen that each comes once."""
    parts = range(len(division))
    found = list(view.digest(collection, division, parts, Pace()))
    assert sorted(part for part, _ in found) == list(parts)
    by_part = dict(found)
    return [by_part[part] for part in parts]


def whole(view: Reader, collection: str) -> Digest:
    """Return the digest of all records as one part."""
    return digests(view, collection)[0]


def recorded(
    view: Reader, collection: str, division: Sequence[str] = ("",), parts: Sequence[int] | None = None
) -> list[tuple[int, RecordHash]]:
    """Return the records of `parts`, or of all of them, each with its part, in the order they come in."""
    return list(view.records(collection, division, range(len(division)) if parts is None else parts, Pace()))


def read(view: Reader, collection: str, division: Sequence[str] = ("",)) -> CollectionState:
    """Read everything, and see that digests and records agree and that each key comes once."""
    parts = range(len(division))
    by_part = dict(enumerate(digests(view, collection, division)))
    sums = dict.fromkeys(parts, Digest(0, 0))
    records: dict[str, RecordHash] = {}
    order = []
    for part, record in recorded(view, collection, division, parts[::-1]):
        sums[part] += Digest(1, record.hash)
        assert 0 <= record.hash < 2**HASH_BITS
        assert all(0 <= value < 2**FIELD_BITS for value in record.fields.values())
        assert record.key not in records
        records[record.key] = record
        order.append(part)
    assert by_part == sums
    assert order == sorted(order, reverse=True)
    return CollectionState(by_part, records)
