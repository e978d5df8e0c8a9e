"""The runbook's decision tree: severity and scope of an incident in, what to do out. Pure: it asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fixtures.severity import Severity
from rollback_actions.wish import Kind

INVESTIGATION_MINUTES = 5


class Action(StrEnum):
    """What to do; the last four are rollbacks."""

    MONITOR = "continue monitoring"
    INVESTIGATE = "investigate"
    SERVICE = "service rollback"
    DATABASE = "database rollback"
    FULL = "full rollback"
    EMERGENCY = "emergency rollback"


_KINDS = {
    Action.SERVICE: Kind.SERVICE,
    Action.DATABASE: Kind.DATABASE,
    Action.FULL: Kind.FULL,
    Action.EMERGENCY: Kind.EMERGENCY,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is in trouble: services of the application, stores, data that is wrong, or all of it."""

    services: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    corrupt: bool = False
    whole: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is said to be in trouble."""
        return not (self.services or self.stores or self.corrupt or self.whole)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why, in words; `names` are the service or the store of a partial rollback."""

    action: Action
    reason: str
    names: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind | None:
        """The kind of rollback that was decided on, None when it is not one."""
        return _KINDS.get(self.action)


def decide(severity: Severity, scope: Scope, *, still_bad: bool | None = None) -> Decision:
    """Return what the tree says.

    `still_bad` is what the investigation of something that is not critical came to; None before its end.
    """
    if scope.corrupt:
        # By the runbook that is critical of itself, whatever else is within its limit.
        return Decision(Action.EMERGENCY, "data is corrupt: what stores hold goes back too, in all of them")
    waits = _not_critical(severity, still_bad=still_bad)
    if waits is not None:
        return waits
    if scope.empty:
        return Decision(Action.INVESTIGATE, "nothing is said to be in trouble: find out what is, and name it")
    return _rollback(scope)


def _not_critical(severity: Severity, *, still_bad: bool | None) -> Decision | None:
    """Return what is done before a rollback is thought of; None when it is time for one."""
    if severity is Severity.HEALTHY:
        return Decision(Action.MONITOR, "nothing is beyond its limit")
    if severity is Severity.UNKNOWN:
        return Decision(Action.INVESTIGATE, "nobody knows how bad it is: find out what cannot be seen")
    if severity is Severity.NON_CRITICAL and still_bad is None:
        return Decision(
            Action.INVESTIGATE,
            f"not critical: look for the cause for {INVESTIGATION_MINUTES} minutes, then decide again",
        )
    if severity is Severity.NON_CRITICAL and not still_bad:
        return Decision(Action.MONITOR, f"not critical, and over after {INVESTIGATION_MINUTES} minutes")
    return None


def _rollback(scope: Scope) -> Decision:
    services, stores = tuple(dict.fromkeys(scope.services)), tuple(dict.fromkeys(scope.stores))
    if stores:
        return _with_data(scope, services, stores)
    if scope.whole or len(services) > 1:
        who = "the whole system is" if scope.whole else f"{len(services)} services are"
        return Decision(Action.FULL, f"{who} in trouble, and the data is not said to be wrong")
    return Decision(Action.SERVICE, f"one service is in trouble, {services[0]}, and nothing else", services)


def _with_data(scope: Scope, services: tuple[str, ...], stores: tuple[str, ...]) -> Decision:
    if len(stores) > 1:
        return Decision(
            Action.EMERGENCY, f"{len(stores)} stores are in trouble: they go back together, or do not agree"
        )
    if services or scope.whole:
        return Decision(
            Action.EMERGENCY, f"store {stores[0]} and what is above it are in trouble: code and data go back"
        )
    return Decision(Action.DATABASE, f"one store is in trouble, {stores[0]}, and nothing else", stores)
