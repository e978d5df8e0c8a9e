"""What a store has to offer so that its export and its keeper can be held to the contract."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import pytest
from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import keeper_at
from rollproof.stores.package import Kept
from rollproof.stores.reader import Reader
from rollproof.stores.registry import reader_at
from staging.stack.stack import Stack
from tests.stack.scratch_stores import changed

ROLES = ("reader", "operator")
WRONG = "another-horse-battery-staple"
WHOLE_SECONDS = 60.0
"""The deadline of a backup or restore."""
WHOLE = ""
"""The kind of backup of a store that knows only one."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a subject is made of: the stack, its stores, and a folder of its own."""

    stack: Stack
    target: Target
    engine: ContainerEngine
    control: ComposeControl
    folder: Path

    def new_folder(self, name: str) -> Path:
        """Make a folder of that name for one subject: on one worker a second may follow."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


class Watched:
    """A control whose calls are written down: what was on a command line can be looked at afterwards."""

    def __init__(self, control: ComposeControl) -> None:
        self._control = control
        self.calls: list[tuple[str, tuple[object, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._control, name)

        def call(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - whatever the control returns
            self.calls.append((name, arguments, named))
            return method(*arguments, **named)

        return call

    def die(self, part: float, patch: pytest.MonkeyPatch, spared: str = "") -> None:
        """Let the client die once a program has read a part of its input, but not of one with `spared`."""

        def run(service: str, command: Sequence[str], *, stdin: Path, **options: Any) -> str:  # noqa: ANN401
            if spared in command:
                return self._control.run(service, command, stdin=stdin, **options)
            dump = stdin.read_bytes()
            beginning = stdin.with_suffix(".part")
            beginning.write_bytes(dump[: int(len(dump) * part)])
            with suppress(ActionFailed):
                self._control.run(service, command, stdin=beginning, **options)
            beginning.unlink()
            raise KeyboardInterrupt

        patch.setattr(self, "run", run, raising=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Names of the tests' own in a running server, and the ways in that a profile of them opens."""

    name: str
    profile: StoreProfile
    endpoint: Endpoint
    control: ComposeControl
    engine: ContainerEngine | None = None
    """For a store that is no server."""

    def at(self, endpoint: Endpoint) -> Self:
        """Return this place with the server elsewhere."""
        return replace(self, endpoint=endpoint)

    def but(self, **changes: object) -> Self:
        """Return this place with some fields of its profile changed."""
        return replace(self, profile=changed(self.profile, **changes))

    def locked(self) -> Self:
        """Return this place with secrets that the server refuses."""
        wrong = {}
        for role in ROLES:
            account = getattr(self.profile, role, None)
            if account is not None:
                secret = "key" if hasattr(account, "key") else "password"
                wrong[role] = account.model_copy(update={secret: SecretStr(WRONG)})
        return self.but(**wrong)

    def view(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def content(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def export(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def keeper(self, *, deadline: float = WHOLE_SECONDS) -> StoreKeeper:
        return keeper_at(self.name, self.profile, self.endpoint, self.control, deadline, self.engine)

    def secrets(self) -> list[str]:
        """Return every secret of the profile."""
        accounts = [getattr(self.profile, role, None) for role in ROLES]
        secrets = [
            getattr(account, "password", None) or getattr(account, "key", None) for account in accounts
        ]
        return [secret.get_secret_value() for secret in secrets if secret is not None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A collection whose records are exported, spoiled, and written again from their lines."""

    name: str
    damage: Callable[[], object]
    """Leaves no record as it was."""
    size: int = 7
    """Records of a part."""
    exact: Callable[[], object] = lambda: None
    """What must be as it was too, though no digest tells of it."""
    look: Callable[[Sequence[ExportedRecord], Path], object] = lambda _records, _folder: None
    """What else is to be seen in what was exported."""
    stays: Callable[[RecordHash], Hashable] = lambda record: (record.key, record.hash)
    """What of a record is as it was; less where the server gives names of its own."""
    small: bool = False
    """Export it in the smallest requests that there are: see `Subject.small`."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Records of a collection that are wanted; `spoil` removes or changes all of them but those `left`."""

    name: str
    keys: Collection[str]
    spoil: Callable[[], object]
    left: Collection[str]
    size: int = 5


Damage = Callable[[Any], object]
"""What is done to a subject."""


class Subject(ABC):
    """One server of one store with names of the tests' own in it.

    What the contract asks of all is abstract here; what has a value here is told where it is another.
    """

    place: Place
    watched: Watched
    """The control of the place."""

    # The export.
    exported: ClassVar[Mapping[str, Callable[[Any], Exported]]]
    """Collections, by what makes each in an empty place. The first has what `shown` and `exclude` name."""
    shown: ClassVar[Mapping[str, Mapping[str, object]]]
    """Parts of what people read of records of the first collection, by key."""
    exclude: ClassVar[tuple[str, ...]]
    """Fields of the first collection that a profile may leave out of digests."""
    absent: ClassVar[str] = ""
    """A collection that is not there, where asking for it is an error."""
    locked: ClassVar[bool] = True
    """Whether the server asks for a secret."""
    served: ClassVar[bool] = True
    """Whether there is a server, which may not answer."""
    sizes: ClassVar[bool] = False
    """Whether `small` makes a difference."""
    variant: ClassVar[bool] = False
    """Whether another subject shows, in the default run, what this one does on another server."""

    # The keeper.
    kinds: ClassVar[tuple[str, ...]] = (WHOLE,)
    """Kinds of backup, or of data that backups differ by."""
    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]]
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
    gone: ClassVar[str] = ""
    """What a backup says of what was dropped, where it refuses that."""
    stops: ClassVar[bool] = False
    """Whether the server is stopped by its keeper: then most of these tests are long."""
    programs: ClassVar[bool] = False
    """Whether the keeper runs programs, which might be told a secret."""
    disturbed: ClassVar[str] = ""
    """What a backup says of a write that it was disturbed by, where that spoils it."""
    overtaken: ClassVar[str] = ""
    """What a restore says of a write that comes before its verification, where that spoils it."""

    @abstractmethod
    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        """Settle somewhere, beside a neighbour; `opened` takes all of that away at the end."""

    def settle(
        self,
        name: str,
        profile: StoreProfile,
        endpoint: Endpoint,
        control: ComposeControl,
        engine: ContainerEngine | None = None,
    ) -> None:
        """Name the place."""
        self.watched = Watched(control)
        self.place = Place(name, profile, endpoint, cast("ComposeControl", self.watched), engine)

    @abstractmethod
    def clear(self) -> None:
        """Take everything away, whatever an earlier test left."""

    @abstractmethod
    def choose(self) -> Chosen:
        """Make a collection in an empty place, and choose some of its records."""

    def small(self, patch: pytest.MonkeyPatch) -> None:
        """Let every request be as small as it can be."""
        raise NotImplementedError

    @abstractmethod
    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        """Make anew what a backup of `kind` has to keep; return its records by collection."""

    def counts(self) -> Mapping[str, int]:
        """Return what the store's own view counts."""
        with self.place.view() as view:
            return view.counts()

    @abstractmethod
    def observe(self) -> object:
        """Return all that a restore has to bring back, comparable."""

    @abstractmethod
    def beside(self) -> object:
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
        self.clear()
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


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of what a subject was filled with, and what was seen before and after it was taken."""

    subject: Subject
    kind: str
    folder: Path
    kept: Kept
    records: Mapping[str, int]
    before: object
    after: object
    beside: object
    keeper: StoreKeeper
