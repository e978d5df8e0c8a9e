"""What a store of the staging stack offers to the contracts of readers and keepers, and to `./run faults`."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.contract import subject
from rollproof.contract.subject import Act, Change, Sizes, Way, at
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.profile import Target
from rollproof.profile.sections import Address, Policy, StoreProfile
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from staging.stack.stack import Stack
from tests.stack.stores.place import Chosen, Exported, Place, Watched

__all__ = ["WHOLE", "Act", "Change", "Chosen", "Exported", "Given", "Sizes", "Subject", "Way", "at", "ways"]

WHOLE = ""
"""The kind of backup of a store that knows only one."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a subject is made with."""

    stack: Stack
    target: Target
    engine: ContainerEngine
    control: ComposeControl
    folder: Path

    def new_folder(self, name: str) -> Path:
        """Make a folder of that name for one subject: on one worker a second may follow."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


class Subject(subject.Subject):
    """A store of the stack: how it is read, what `./run faults` damages in it, and how it is kept.

    What is read is made by `fill` and removed by `clear`. What is exported, backed up and restored lies in a
    place of its own, `place`, that `settle` opens: `wipe` empties it, and `populate` makes what is backed up.
    """

    variant: ClassVar[bool] = False
    """Whether another subject shows, in the default run, what this one does by other requests."""

    kept: ClassVar[bool] = True
    """Whether it is held to the contract of keepers, too: another subject may be, on the same server."""

    # The faults.
    vector_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of the vectors of `full`, after which searches find other records."""
    index_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of the index of `indexed`, after which searches find less; `index` builds it well."""
    position_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes of the positions of those who read `full`."""
    restart_changes: ClassVar[Mapping[str, Act]] = {}
    """Changes after which the server answers as before, until it is restarted."""
    policy: ClassVar[Mapping[str, Policy]] = {"*": Policy.EXACT}
    """How strictly what is repaired can be compared."""

    given: Given
    indexed: str
    place: Place
    watched: Watched
    """The control of the place."""

    # The export.
    exported: ClassVar[Mapping[str, Callable[[Any], Exported]]]
    """Collections, by what makes each in an empty place. The first has what `readable` names."""
    readable: ClassVar[Mapping[str, Mapping[str, object]]]
    """Parts of what people read of records of the first collection, by key."""
    undigested: ClassVar[tuple[str, ...]]
    """Fields of the first collection that a profile may leave out of digests."""
    unexported: ClassVar[str] = ""
    """A collection that is not there, where asking for it is an error."""
    locked: ClassVar[bool] = True
    """Whether the server asks for a secret."""
    served: ClassVar[bool] = True
    """Whether there is a server, which may not answer."""
    sizes: ClassVar[bool] = False
    """Whether `small` makes a difference."""

    # The keeper.
    kinds: ClassVar[tuple[str, ...]] = (WHOLE,)
    """Kinds of backup, or of data that backups differ by."""
    rounds: ClassVar[Mapping[str, Mapping[str, Act]]]
    """Damage that one restore has to mend, by round and in order; each shows after the ones before it."""
    notes: frozenset[str]
    """What a restore says of what `add` has added."""
    always: ClassVar[frozenset[str]] = frozenset()
    """What every restore says."""
    words: ClassVar[tuple[str, ...]] = ()
    """Words of the method of a backup."""
    kills: ClassVar[tuple[float, ...]]
    """Where in a restore it is killed."""
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Changes of a profile that make a backup one of another target, by a name for them."""
    drops: ClassVar[tuple[str, ...]] = ("everything",)
    """What `drop` can drop."""
    refusal: ClassVar[str] = ""
    """What a backup says of what was dropped, where it refuses that."""
    stops: ClassVar[bool] = False
    """Whether the server is stopped by its keeper: then most of these tests are long."""
    programs: ClassVar[bool] = False
    """Whether the keeper runs programs, which might be told a secret."""
    disturbed: ClassVar[str] = ""
    """What a backup says of a write that it was disturbed by, where that spoils it."""
    overtaken: ClassVar[str] = ""
    """What a restore says of a write that comes before its verification, where that spoils it."""

    def __init__(self, given: Given) -> None:
        """Connect to the store; nothing is changed yet."""
        self.given = given
        self.opened = ExitStack()

    def leave(self) -> None:
        """Close what is open, and remove what is to be removed with it."""
        self.opened.close()

    def damage(self, change: str) -> None:
        """Make a change in `full` itself, for whoever compares that alone: `./run faults`."""
        self.make(change)

    def repair(self) -> None:
        """Give `full` back what `damage` and `position_changes` took."""
        self.mend()

    def make_capturable(self) -> None:
        """Undo what a change of a schema left, and no capture accepts."""

    def index(self) -> None:
        """Make `indexed`, with vectors enough for an index, or make it again."""

    def reader(self, **changes: Any) -> Reader:  # noqa: ANN401 - fields of the profile
        """Open the reader as a check does, with some fields of the profile changed."""
        return open_reader(self.store, self.altered(**changes), self.given.engine)

    def keeper(self) -> StoreKeeper:
        """Open the write side as a rollback does."""
        return open_keeper(self.store, self.altered(), self.given.engine, self.given.control, 60)

    @abstractmethod
    def settle(self) -> None:
        """Open `place`, next to a neighbour; `leave` takes all of that away."""

    def take(
        self,
        profile: StoreProfile,
        endpoint: Endpoint | None = None,
        control: ComposeControl | None = None,
        engine: ContainerEngine | None = None,
    ) -> None:
        """Name the place: of the stack's server, if no other one is given."""
        self.watched = Watched(control or self.given.control)
        at = endpoint or self.given.engine.resolve(cast("Address", profile.address))
        self.place = Place(self.store, profile, at, cast("ComposeControl", self.watched), engine)

    @abstractmethod
    def wipe(self) -> None:
        """Take everything away, whatever an earlier test left."""

    @abstractmethod
    def choose(self) -> Chosen:
        """Make a collection in an empty place, and choose some of its records."""

    def small(self, patch: pytest.MonkeyPatch) -> None:
        """Let every request be as small as it can be."""
        raise NotImplementedError

    @abstractmethod
    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        """Make again what a backup of `kind` has to keep; return its records by collection."""

    def counted(self) -> Mapping[str, int]:
        """Return what the store's own view counts."""
        with self.place.view() as view:
            return view.counts()

    @abstractmethod
    def observe(self) -> object:
        """Return all that a restore has to bring back, comparable."""

    @abstractmethod
    def unlisted(self) -> object:
        """Return what is there of the neighbour, None where a server has no room for one."""

    @abstractmethod
    def add(self) -> None:
        """Add what a restore has to take away, and no more."""

    @abstractmethod
    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        """Return what a restore by `keeper` does several times: the method of that name of an object."""

    def killed(self, keeper: StoreKeeper, part: float, patch: pytest.MonkeyPatch) -> None:
        """Let a restore by `keeper` be killed on its way: after so many steps."""
        owner, name = self.step(keeper)
        original, left = getattr(owner, name), iter(range(int(part)))

        def step(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - whatever it returns
            if next(left, None) is None:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        patch.setattr(owner, name, step)

    def drop(self, what: str) -> Mapping[str, int]:
        """Drop `what`; return the records by collection that are kept before a restore."""
        self.wipe()
        return {}

    def dropped(self) -> object:
        """Return what is seen after a restore of what was dropped; that is not always as it was dropped."""
        return self.observe()

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        """Return a method that a backup by `keeper` reads by, and a write that disturbs it."""
        raise NotImplementedError

    def disturb(self, keeper: StoreKeeper, patch: pytest.MonkeyPatch) -> None:
        """Let something be written when `keeper` has read what it backs up."""
        _write_after(patch, *self.reading(keeper))

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        """Return a method that a restore by `keeper` calls before it verifies, and a write after that."""
        raise NotImplementedError

    def overtake(self, keeper: StoreKeeper, patch: pytest.MonkeyPatch) -> None:
        """Let something be written when `keeper` has restored, and has not verified it yet."""
        _write_after(patch, *self.loading(keeper))


def _write_after(patch: pytest.MonkeyPatch, owner: object, name: str, write: Callable[[], object]) -> None:
    original = getattr(owner, name)

    def call_and_write(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - whatever it returns
        found = original(*arguments, **named)
        write()
        return found

    patch.setattr(owner, name, call_and_write)


def ways(wrong_secret: str, silence: str = "within 0.3 s", closed_port: str = "refused") -> Mapping[Way, str]:
    """Return what is said of each way to be no answer."""
    return {"closed port": closed_port, "silence": silence, "wrong secret": wrong_secret}
