"""The runbook's decision tree: from an incident's severity and scope to an action. Pure: it asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rollproof.incident.rollback_request import RollbackKind
from rollproof.incident.severity import Severity

_MINUTE = 60


class Action(StrEnum):
    """The action to take; the last four are rollbacks."""

    MONITOR = "continue monitoring"
    INVESTIGATE = "investigate"
    SERVICE = "service rollback"
    DATABASE = "database rollback"
    FULL = "full rollback"
    EMERGENCY = "emergency rollback"


_KINDS = {
    Action.SERVICE: RollbackKind.SERVICE,
    Action.DATABASE: RollbackKind.DATABASE,
    Action.FULL: RollbackKind.FULL,
    Action.EMERGENCY: RollbackKind.EMERGENCY,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The parts in trouble: services of the application, stores, wrong data, or the whole system."""

    services: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    corrupt: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and its reason, in words; `names` are a partial rollback's service or store."""

    action: Action
    reason: str
    names: tuple[str, ...] = ()

    @property
    def kind(self) -> RollbackKind | None:
        """The decided kind of rollback, or None for another action."""
        return _KINDS.get(self.action)


def decide(
    severity: Severity, scope: Scope, investigation_seconds: float, *, still_bad: bool | None = None
) -> Decision:
    """Return the tree's decision.

    A non-critical problem is investigated first, for `investigation_seconds`. `still_bad` is whether it is
    there afterwards; None before the investigation has ended.
    """
    time = _in_words(investigation_seconds)
    if scope.corrupt:
        # By the runbook, corrupt data is critical by itself, even when every figure is within its limit.
        return Decision(Action.EMERGENCY, "data is corrupt: code goes back, and the data of every store")
    if severity is Severity.HEALTHY:
        return Decision(Action.MONITOR, "nothing is beyond its limit")
    if severity is Severity.UNKNOWN and still_bad is None:
        return Decision(Action.INVESTIGATE, "nobody knows how bad it is: find out what cannot be seen")
    if severity is Severity.NON_CRITICAL and still_bad is None:
        return Decision(Action.INVESTIGATE, f"not critical: look for the cause for {time}, then decide again")
    if severity is not Severity.CRITICAL and not still_bad:
        return Decision(Action.MONITOR, f"not critical, and over after {time}")
    return _rollback(scope)


def _in_words(seconds: float) -> str:
    minutes, rest = divmod(seconds, _MINUTE)
    return f"{minutes:g} minute{'s' * (minutes > 1)}" if minutes and not rest else f"{seconds:g} seconds"


def _rollback(scope: Scope) -> Decision:
    services, stores = tuple(dict.fromkeys(scope.services)), tuple(dict.fromkeys(scope.stores))
    if len(stores) > 1:
        return Decision(
            Action.EMERGENCY, f"{len(stores)} stores are in trouble: they go back together, or do not agree"
        )
    if stores and (services or scope.whole):
        return Decision(
            Action.EMERGENCY, f"store {stores[0]} and what is above it are in trouble: code and data go back"
        )
    if stores:
        return Decision(Action.DATABASE, f"one store is in trouble, {stores[0]}, and nothing else", stores)
    if scope.whole or len(services) > 1:
        who = "the whole system is" if scope.whole else f"{len(services)} services are"
        return Decision(Action.FULL, f"{who} in trouble, and the data is not said to be wrong")
    if services:
        return Decision(
            Action.SERVICE, f"one service is in trouble, {services[0]}, and nothing else", services
        )
    return Decision(Action.INVESTIGATE, "no trouble was named: find out what is broken, and name it")
