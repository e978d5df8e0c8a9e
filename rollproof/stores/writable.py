"""The access of a store's write side: the operator's account, and the control of the store's containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.store_descriptor import Profile
from rollproof.stores.reach import Reach, account_of

if TYPE_CHECKING:  # the engine's SDK only where it is used
    from rollback_actions.containers.compose import ComposeControl


@dataclass(frozen=True, slots=True)
class Operated(Generic[Profile]):
    """One store as its operator reaches it.

    `engine` is for a store that is no server: it is read through the containers.
    """

    store: str
    profile: Profile
    endpoint: Endpoint
    engine: ContainerEngine | None = field(default=None, kw_only=True)

    @property
    def reach(self) -> Reach:
        """The operator's way to it, for one request."""
        account = account_of(self.profile.operator)
        return Reach(self.store, self.endpoint, account, self.profile.deadline_seconds)


@dataclass(frozen=True, slots=True)
class Writable(Operated[Profile]):
    """One store as its keeper is given it. `deadline` is in seconds, for a whole backup or restore."""

    control: ComposeControl
    deadline: float
