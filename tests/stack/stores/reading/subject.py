"""What a store of the staging stack offers the contract of readers, and `./run faults` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rollback_actions.containers.compose import ComposeControl
from rollproof.contract import subject
from rollproof.contract.subject import Act, Change, Sizes, Way, at
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from staging.stack.stack import Stack

__all__ = ["Act", "Change", "Given", "Sizes", "Subject", "Way", "at", "ways"]


@dataclass(frozen=True, slots=True)
class Given:
    """What a subject is made with."""

    stack: Stack
    target: Target
    engine: ContainerEngine
    control: ComposeControl
    folder: Path


class Subject(subject.Subject):
    """A store of the stack, with what `./run faults` damages."""

    variant: ClassVar[bool] = False
    """Whether another subject shows, in the default run, what this one does by other requests."""
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

    given: Given
    indexed: str

    def __init__(self, given: Given) -> None:
        """Connect to the store; nothing is changed yet."""
        self.given = given

    def damage(self, change: str) -> None:
        """Make a change in `full` itself, for whoever compares that alone: `./run faults`."""
        self.make(change)

    def repair(self) -> None:
        """Give `full` back what `damage` and `position_changes` took."""
        self.mend()

    def index(self) -> None:
        """Make `indexed`, with vectors enough for an index, or make it again."""

    def reader(self, **changes: Any) -> Reader:  # noqa: ANN401 - fields of the profile
        """Open the reader as a check does, with some fields of the profile changed."""
        return open_reader(self.store, self.altered(**changes), self.given.engine)

    def keeper(self) -> StoreKeeper:
        """Open the write side as a rollback does."""
        return open_keeper(self.store, self.altered(), self.given.engine, self.given.control, 60)


def ways(wrong_secret: str, silence: str = "within 0.3 s", closed_port: str = "refused") -> Mapping[Way, str]:
    """Return what is said of each way to be no answer."""
    return {"closed port": closed_port, "silence": silence, "wrong secret": wrong_secret}
