"""A decision for people: the action, its steps, losses and expected time, and the command to type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fixtures.baseline.known_good import current_baseline
from fixtures.decision.tree import Action, Decision
from fixtures.decision.wish import Kind
from fixtures.engines.factory import open_engine
from fixtures.errors import UsageProblem
from fixtures.git.repository import head, resolve_commit
from fixtures.losses.changes import Written
from fixtures.target.profile import Target
from rollback_actions.backup.written_since import written_since
from rollback_actions.rollback.advice import Advice
from rollback_actions.rollback.outline import cautions, losses, outline
from rollback_actions.rollback.plan import Plan, plan_database, plan_emergency, plan_full, plan_service
from rollback_actions.rollback.refusals import Allowed, refusals
from rollback_actions.rollback.schedule import schedule_of


def decision_lines(
    advice: Advice,
    decision: Decision,
    commit: str | None,
    refused: Callable[[Plan], Iterable[UsageProblem]] | None = None,
) -> Iterator[str]:
    """Yield the decision's lines; a rollback goes to `commit`, or with None to the known-good commit.

    `refused` gives the reasons to refuse its plan; by default, they are those without any permission.

    Raises:
        Problem: the chosen rollback cannot be done; this is known before the first line is yielded.
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
    for number, (step, changes) in enumerate(outline(target, plan), start=1):
        yield f"  {number:>2}. {step.name}: {changes} (within {schedule.deadline(step.stage):.0f} s)"
    for loss in losses(plan, _written(target, plan)):
        yield f"lost: {loss}"
    for caution in cautions(target, plan, now):
        yield f"caution: {caution}"
    yield (
        f"budget: {schedule.budget:g} s (rollback_seconds); about {schedule.seconds:.0f} s expected,"
        f" {schedule.deadlines:.0f} s by the deadlines"
    )
    for refusal in refusals(target, plan, Allowed()) if refused is None else refused(plan):
        yield f"refused: {refusal.summary}; {refusal.hint}"
    yield f"next: {advice.rollback(plan.wish)}"


def _written(target: Target, plan: Plan) -> Mapping[str, Written | str]:
    if plan.backup is None:
        return {}
    return written_since(target, open_engine(target.engine), plan.backup, plan.stores)


def plan_of(advice: Advice, decision: Decision, commit: str | None = None) -> Plan | None:
    """Return the plan of the chosen rollback, or None if the decision is no rollback.

    Raises:
        Problem: the rollback cannot be done.
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
