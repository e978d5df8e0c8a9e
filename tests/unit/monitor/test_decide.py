"""The runbook's decision tree, branch by branch."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Action, Scope, decide

CRITICAL, NON_CRITICAL = Severity.CRITICAL, Severity.NON_CRITICAL
ONE = Scope(services=("backend",))
# What the investigation of something came to, and whether it came to anything.
Answer: TypeAlias = bool | None
BAD = [(CRITICAL, None), (CRITICAL, False), (NON_CRITICAL, True)]

SECONDS = 300.0
ROLLBACKS = [
    (Scope(services=("backend",)), Action.SERVICE, ("backend",)),
    (Scope(services=("backend", "backend")), Action.SERVICE, ("backend",)),
    (Scope(stores=("mysql",)), Action.DATABASE, ("mysql",)),
    (Scope(services=("backend", "nginx")), Action.FULL, ()),
    (Scope(whole=True), Action.FULL, ()),
    (Scope(services=("backend",), whole=True), Action.FULL, ()),
    (Scope(corrupt=True), Action.EMERGENCY, ()),
    (Scope(services=("backend",), corrupt=True), Action.EMERGENCY, ()),
    (Scope(stores=("mysql",), corrupt=True), Action.EMERGENCY, ()),
    (Scope(whole=True, corrupt=True), Action.EMERGENCY, ()),
    (Scope(stores=("mysql", "redis")), Action.EMERGENCY, ()),
    (Scope(services=("backend",), stores=("mysql",)), Action.EMERGENCY, ()),
    (Scope(stores=("mysql",), whole=True), Action.EMERGENCY, ()),
]


@pytest.mark.parametrize(("scope", "action", "names"), ROLLBACKS)
@pytest.mark.parametrize(("severity", "still_bad"), BAD)
def test_scope_says_which_rollback(
    severity: Severity, still_bad: Answer, scope: Scope, action: Action, names: tuple[str, ...]
) -> None:
    decision = decide(severity, scope, SECONDS, still_bad=still_bad)
    assert (decision.action, decision.names) == (action, names)
    assert decision.reason


@pytest.mark.parametrize("scope", [scope for scope, *_ in ROLLBACKS if not scope.corrupt] + [Scope()])
def test_what_is_not_critical_is_looked_into_first(scope: Scope) -> None:
    decision = decide(NON_CRITICAL, scope, SECONDS)
    assert decision.action is Action.INVESTIGATE
    assert "5 minutes" in decision.reason


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("still_bad", [None, False, True])
def test_corrupt_data_is_critical_whatever_else_is_well(severity: Severity, still_bad: Answer) -> None:
    assert decide(severity, Scope(corrupt=True), SECONDS, still_bad=still_bad).action is Action.EMERGENCY


@pytest.mark.parametrize("scope", [ONE, Scope()])
def test_what_is_over_is_watched(scope: Scope) -> None:
    assert decide(NON_CRITICAL, scope, SECONDS, still_bad=False).action is Action.MONITOR


@pytest.mark.parametrize(("severity", "still_bad"), BAD)
def test_nothing_named_is_nothing_to_roll_back(severity: Severity, still_bad: Answer) -> None:
    decision = decide(severity, Scope(), SECONDS, still_bad=still_bad)
    assert decision.action is Action.INVESTIGATE
    assert "name it" in decision.reason


@pytest.mark.parametrize("scope", [ONE, Scope()])
def test_what_is_well_is_watched_and_what_nobody_knows_is_found_out(scope: Scope) -> None:
    assert decide(Severity.HEALTHY, scope, SECONDS).action is Action.MONITOR
    assert decide(Severity.UNKNOWN, scope, SECONDS).action is Action.INVESTIGATE
