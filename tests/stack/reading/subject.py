"""What a store offers the contract of readers: records that are known, changes of them, and no answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, Address, Port, StoreProfile
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from staging.stack.stack import Stack
from tests.stack.scratch_stores import SECRET, changed

PATIENCE = 60.0
Act = Callable[[Any], object]
"""What is done to a subject; each kind of subject has acts of its own."""
Seen = Mapping[str, set[str] | None]
"""By key of a record: the names of the fields that differ, or None where it came or went."""
Change = tuple[Act, Seen]
Sizes = Literal["least", "at most", "about"]
"""Parts of a division: as few as there can be and none too large; none too large; or about so large."""
Way = Literal["closed port", "silence", "wrong secret"]


@dataclass(frozen=True, slots=True)
class Given:
    """What a subject is made with."""

    stack: Stack
    target: Target
    engine: ContainerEngine
    control: ComposeControl
    folder: Path


class Subject(ABC):
    """A store with scratch collections: `full` has records that are known, `empty` none.

    Tables of cases belong to the class: a case is a test, and tests are collected without a stack.
    """

    store: ClassVar[str]
    """Its name in the profile of the target."""
    variant: ClassVar[bool] = False
    """Whether another subject shows, in the default run, what this one does by other requests."""
    changes: ClassVar[Mapping[str, Change]]
    """Changes of the records of `full`, each of which must be seen; "lost" and "added" among them."""
    equals: ClassVar[Mapping[str, Act]]
    """Other ways to the same records: of them nothing must be seen."""
    schema_changes: ClassVar[Mapping[str, Act]]
    """Changes of schemas; each may be made after those before it."""
    golden_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of `full` after which searches find other records, where there are vectors."""
    index_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of the index of `indexed`, after which searches find less; `index` builds it well."""
    position_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of the positions of those who read `full`."""
    restart_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes after which the server answers as before, until it is restarted."""
    policy: ClassVar[Mapping[str, str]] = {"*": "exact"}
    """How strictly what is repaired can be compared."""
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

    given: Given
    profile: StoreProfile
    full: str
    indexed: str
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
    """Collections of `define` whose records are compared beside their schemas."""

    def __init__(self, given: Given) -> None:
        """Connect to the store; nothing is changed yet."""
        self.given = given

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
        """Return the collection of a shape, filled anew."""
        return self.full

    def make(self, change: str) -> str:
        """Make a change; return the collection that has it."""
        self.changes[change][0](self)
        return self.full

    def damage(self, change: str) -> None:
        """Make a change in `full` itself, for whoever compares that alone: `./run faults`."""
        self.make(change)

    def repair(self) -> None:
        """Give `full` back what `damage` and `position_changes` took."""
        self.mend()

    @abstractmethod
    def define(self) -> None:
        """Make what `schema_changes` change."""

    def index(self) -> None:  # noqa: B027 - most have no index
        """Make `indexed`, with vectors enough for an index, or make it again."""

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
        return changed(self.profile, **{"deadline_seconds": PATIENCE, **changes})

    def view(self, **changes: Any) -> Reader:  # noqa: ANN401 - likewise
        """Open the view as a check does, with some fields of the profile changed."""
        return open_reader(self.store, self.altered(**changes), self.given.engine)

    def content(self, **changes: Any) -> Reader:  # noqa: ANN401 - likewise
        """Open the content reader as a check does, with some fields of the profile changed."""
        return open_reader(self.store, self.altered(**changes), self.given.engine)

    def keeper(self) -> StoreKeeper:
        """Open the write side as a rollback does."""
        return open_keeper(self.store, self.altered(), self.given.engine, self.given.control, 60)


def ways(wrong_secret: str, silence: str = "within 0.3 s", closed_port: str = "refused") -> Mapping[Way, str]:
    """Return what is said of each way to be no answer."""
    return {"closed port": closed_port, "silence": silence, "wrong secret": wrong_secret}


def at(port: Port) -> Address:
    """Return the address of a port of this host."""
    return Address(host="127.0.0.1", port=port)
