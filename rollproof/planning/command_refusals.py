"""The refusals of a rollback's command: those of `refusals`, of other rollbacks, and of the lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from rollproof.errors import Problem, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import IncidentKind, load_incident
from rollproof.monitoring.wish import Wish
from rollproof.planning.foresight import Foreseen
from rollproof.planning.plan import Plan
from rollproof.planning.refusals import Allowed, refusals
from rollproof.planning.unfinished import (
    Unfinished,
    interrupted,
    refuse_beside_unfinished,
    refuse_over_half_restored,
)
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT


def refused_now(
    target: Target,
    plan: Plan,
    foreseen: Iterable[Foreseen],
    incident: str,
    allowed: Allowed,
    refuse_held: Callable[[], None],
) -> Iterator[UsageProblem]:
    """Yield each reason to refuse the command of the rollback `plan` in `incident` now.

    `refuse_held` raises `UsageProblem` if the target's lock is held.
    """
    unfinished = interrupted(target.folders.incidents, target.name, plan.wish)
    if unfinished is not None:
        yield from _refusal(partial(require_the_same, unfinished, incident, None))
    yield from refusals_in(target, plan, foreseen, incident, allowed, unfinished)
    try:
        refuse_held()
    except UsageProblem as refusal:
        yield refusal
    except Problem:
        # An engine that does not answer refuses nothing: the rollback reports it, and changes nothing.
        return


def refusals_in(
    target: Target,
    plan: Plan,
    foreseen: Iterable[Foreseen],
    incident: str | None,
    allowed: Allowed,
    unfinished: Unfinished | None,
) -> Iterator[UsageProblem]:
    """Yield each reason not to roll back by `plan`, which may be the plan of `unfinished`."""
    incidents = target.folders.incidents
    yield from _refusal(partial(refuse_over_half_restored, incidents, target.name, plan.wish))
    if incident is not None:
        yield from _refusal(partial(_require_fit, target, incident, plan.wish))
    resumed = unfinished is not None and unfinished.kept is not None
    yield from refusals(target, plan, allowed, foreseen, resumed=resumed)


def _refusal(check: Callable[[], None]) -> Iterator[UsageProblem]:
    try:
        check()
    except UsageProblem as refusal:
        yield refusal


def require_the_same(unfinished: Unfinished, incident: str | None, backup: str | None) -> None:
    """Refuse to resume `unfinished` if another incident or another backup set is named for it."""
    if incident not in {None, unfinished.incident.id}:
        raise UsageProblem(
            what=f"incident of the rollback {unfinished.wish}",
            expected=f"{unfinished.incident.id}, in which it began and did not succeed",
            observed=str(incident),
            source="--incident",
            hint="leave --incident out: what was there before it began is recorded in that incident",
        )
    if backup not in {None, unfinished.record.backup}:
        raise UsageProblem(
            what=f"backup set of the rollback {unfinished.wish}",
            expected=f"{unfinished.record.backup or 'the newest'}, with which it began and did not succeed",
            observed=repr(backup),
            source="--backup",
            hint=f"resume that one: {typed('rollback resume')}; then roll back with --again --backup NAME",
        )


def _require_fit(target: Target, incident: str, wish: Wish) -> None:
    """Refuse an incident that would hide the rollback `wish`, or make another rollback forgotten."""
    folders = (path.parent for path in target.folders.incidents.glob(f"*/{INCIDENT}"))
    named = [load_incident(folder) for folder in folders if folder.name == incident]
    if any(one.kind is IncidentKind.CHANGE for one in named):
        raise UsageProblem(
            what="incident of a rollback",
            expected="one of its own, or an incident",
            observed=f"{incident}, the record of a migration that is yet to be",
            source="--incident",
            hint="leave --incident out: the gate looks for rollbacks in incidents",
        )
    refuse_beside_unfinished(target.folders.incidents, target.name, wish, incident)
