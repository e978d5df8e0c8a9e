"""A decision for people: what to do, by which steps, what is lost, how long it may take, what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fixtures.engines.factory import open_engine
from fixtures.errors import UsageProblem
from fixtures.git import head, resolve_commit
from fixtures.target import Target
from rollback_actions.advice import Advice
from rollback_actions.changes import Written
from rollback_actions.decide import Action, Decision
from rollback_actions.known_good import current_baseline
from rollback_actions.outline import cautions, losses, outline
from rollback_actions.plan import Plan, plan_database, plan_emergency, plan_full, plan_service
from rollback_actions.refusals import Allowed, refusals
from rollback_actions.schedule import schedule_of
from rollback_actions.wish import Kind
from rollback_actions.written_since import written_since


def decision_lines(advice: Advice, decision: Decision, commit: str | None) -> Iterator[str]:
    """Yield the decision's lines; a rollback goes to `commit`, None for the known-good one.

    Raises:
        Problem: the rollback that was decided on cannot be done; nothing is yielded before that is known.
    """
    target = advice.target
    plan = plan_of(advice, decision, commit)
    now = head(target.application.repository) if plan else ""
    names = f" of {', '.join(decision.names)}" if decision.names else ""
    yield f"decision: {decision.action}{names}"
    yield f"because: {decision.reason}"
    if plan is None:
        if decision.action is Action.INVESTIGATE:
            yield f"next: {advice.health()}"
            yield f"      {advice.logs(target.application.services)}"
        return
    yield f"commit: {plan.commit}, baseline {plan.baseline.id}"
    yield "steps:"
    schedule = schedule_of(target, plan)
    for number, step in enumerate(outline(target, plan), start=1):
        yield f"  {number:>2}. {step.name}: {step.changes} (within {schedule.deadline(step.stage):.0f} s)"
    for loss in losses(plan, _written(target, plan)):
        yield f"lost: {loss}"
    for caution in cautions(target, plan, now):
        yield f"caution: {caution}"
    yield (
        f"budget: {schedule.budget:g} s (rollback_seconds); about {schedule.seconds:.0f} s expected,"
        f" {schedule.deadlines:.0f} s by the deadlines"
    )
    for refusal in refusals(target, plan, Allowed()):
        yield f"refused: {refusal.summary}; {refusal.hint}"
    yield f"next: {advice.rollback(plan.wish)}"


def _written(target: Target, plan: Plan) -> Mapping[str, Written | str]:
    if plan.backup is None:
        return {}
    return written_since(target, open_engine(target.engine), plan.backup, plan.stores)


def plan_of(advice: Advice, decision: Decision, commit: str | None = None) -> Plan | None:
    """Return the plan of the rollback that was decided on, None when it is not one.

    Raises:
        Problem: it cannot be done.
    """
    target = advice.target
    if decision.kind is None:
        return None
    if commit is None:
        commit = current_baseline(target).facts.commit
    match decision.kind:
        case Kind.FULL:
            return plan_full(target, commit)
        case Kind.EMERGENCY:
            return plan_emergency(target, commit)
        case Kind.SERVICE:
            plan = plan_service(target, decision.names[0])
        case Kind.DATABASE:
            plan = plan_database(target, decision.names[0])
    if resolve_commit(target.application.repository, commit) != plan.commit:
        raise UsageProblem(
            what=f"commit of a {decision.action}",
            expected=f"the known-good one, {plan.commit[:12]}",
            observed=commit,
            source="--commit",
            hint="leave --commit out, or roll all back (--whole)",
        )
    return plan
