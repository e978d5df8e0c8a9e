"""The base of a store's write side: its access, the common part of all keepers, their refusals and errors.

Each writer is given a `Writable`: the operator's account, and the control of the store's containers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.data_formats import Fit, Marks, judge
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.store_descriptor import Profile
from rollproof.stores.package import Package
from rollproof.stores.reach import Reach, account_of

if TYPE_CHECKING:  # the engine's SDK only where it is used
    from rollback_actions.containers.compose import ComposeControl


@dataclass(frozen=True, slots=True)
class Operated(Generic[Profile]):
    """One store as its operator reaches it.

    `apart` says that its container shares its network with no other: who comes from there is inside of it.
    `engine` is for a store that is no server: it is read through the containers.
    """

    store: str
    profile: Profile
    endpoint: Endpoint
    apart: bool = field(default=False, kw_only=True)
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


class StoreWriter(Generic[Profile]):
    """The common part of all keepers. See `StoreKeeper`."""

    def __init__(self, writable: Writable[Profile]) -> None:
        """Remember how to connect; the first call connects."""
        self.name = writable.store
        self.kind = writable.profile.kind
        self._profile = writable.profile
        self._control = writable.control
        self._reach = writable.reach
        # The same way, for steps that take as long as a backup or a restore.
        limit = "rollback_seconds, or premigration.scratch.seconds of a trial, in the profile"
        self._whole = replace(self._reach, deadline=writable.deadline, limit=limit)

    def _failed(self, what: str, *, expected: object, observed: object, hint: str) -> ActionFailed:
        return action_failed(self._reach, what, expected=expected, observed=observed, hint=hint)

    def _not_restored(
        self, observed: str, *, of: str = "", expected: str = "what the backup holds"
    ) -> ActionFailed:
        """Return the error of a restore, of the whole store or of a part, that ended otherwise."""
        return self._failed(
            f"restore of {of}" if of else "restore",
            expected=expected,
            observed=observed,
            hint="the store is between old and new: stop everything that writes to it, and restore again",
        )

    def _expect_same(self, package: Package, what: str, kept: object, wanted: object) -> None:
        """Refuse a backup that differs from the present profile or server."""
        if kept != wanted:
            raise ActionFailed(
                what=f"restore of store {self.name}",
                expected=f"a backup with {what} {_told(wanted)}, as the store is now",
                observed=f"one with {_told(kept)}",
                source=str(package.folder),
                hint="this backup belongs to another target, or the profile has changed since",
            )

    def _expect_readable(self, package: Package, server: Marks) -> None:
        """Refuse a server that cannot read the backup: a rollback's plan has asked the same."""
        judgement = judge(descriptor_of(self._profile).format_of, package.details, server)
        if judgement.fit is Fit.REFUSED:
            raise self._failed(
                "restore",
                expected="a server that reads what the backup holds",
                observed=judgement.reason,
                hint="bring back the version of the server that wrote it, or choose another backup",
            )


def action_failed(reach: Reach, what: str, *, expected: object, observed: object, hint: str) -> ActionFailed:
    """Return the error of a step on the store of `reach`."""
    return ActionFailed(
        what=f"{what} of store {reach.store}",
        expected=expected,
        observed=observed,
        source=reach.address,
        hint=hint,
    )


def _told(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
