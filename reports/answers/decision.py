"""An assessment and its decision, in lines for people: steps, losses, expected time, the command to type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.answers.outline import cautions, losses, outline
from reports.terminal.document import Trouble
from rollproof.backups.stray_mounts import stray_mounts
from rollproof.engines.engine import open_engine
from rollproof.engines.host import endpoint
from rollproof.errors import Problem, UsageProblem
from rollproof.git.repository import head
from rollproof.incident.severity import Assessment, BandState, Severity
from rollproof.losses.changes import Written, written_since
from rollproof.planning.advice import Advice
from rollproof.planning.foresight import Foreseen, foresee, not_judged
from rollproof.planning.plan import Plan, plan_of
from rollproof.planning.refusals import Allowed, Asked, refusals
from rollproof.planning.schedule import schedule_of
from rollproof.planning.tree import Action, Decision
from rollproof.profile.profile import Target
from rollproof.system.command import Command


@dataclass(frozen=True, slots=True)
class AssessmentRecord:
    """The findings of `assess`: severity and bands, what the tree says, and the command to type, or None.

    `monitored` says that a running monitor made the samples, or that a file had them.
    """

    assessment: Assessment
    monitored: bool
    decision: Decision
    next: str | None


def assessment_record_lines(record: AssessmentRecord) -> Iterator[str]:
    """Yield what `assess` found, for people."""
    yield from assessment_lines(record.assessment, monitored=record.monitored)
    names = f" of {', '.join(record.decision.names)}" if record.decision.names else ""
    yield f"decision: {record.decision.action}{names}: {record.decision.reason}"
    if record.next is not None:
        yield f"next: {record.next}"


def assessment_lines(assessment: Assessment, *, monitored: bool) -> Iterator[str]:
    """Yield the assessment for people: the severity, and the state of each band, the worst first."""
    yield f"severity: {assessment.said}"
    # Bands of which the same is to be said share a line: without the engine, that is most of them.
    alike: dict[tuple[str, str, str], list[str]] = {}
    for state in (BandState.MET, BandState.LASTING, BandState.UNKNOWN):
        for finding in assessment.of(state):
            beats = f" (beats {finding.beats[0]} to {finding.beats[1]})" if finding.beats else ""
            what = (str(state), str(finding.severity), f"{finding.text}{beats}")
            alike.setdefault(what, []).append(finding.band)
    for (stands, severity, text), bands in alike.items():
        yield f"{stands}: {severity}, {', '.join(bands)}: {text}"
    clear = [f"{finding.band} {finding.text}" for finding in assessment.of(BandState.CLEAR)]
    if clear:
        yield f"clear: {'; '.join(dict.fromkeys(clear))}"
    if not monitored and assessment.severity is not Severity.CRITICAL and not assessment.cut_off:
        yield "not judged: what takes longer than these samples; start the monitor"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a plan: what it changes, in words, and the seconds that its stage is expected to take."""

    name: str
    changes: str
    expected_seconds: float


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A rollback that can be done, as it would be: what it costs, what to see to, and why it is refused.

    `engine` is the address at which the containers are: the shell chooses it, and not the profile.
    Seconds: `budget_seconds` is the profile's, `expected_seconds` a guess by the backup and the containers'
    health checks.
    """

    commit: str
    baseline: str
    engine: str
    steps: tuple[StepRecord, ...]
    lost: tuple[str, ...]
    cautions: tuple[str, ...]
    budget_seconds: float
    expected_seconds: float
    foreseen: tuple[str, ...]
    refused: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What the tree decides, the plan of the rollback if it decides on one, and the commands to type next."""

    decision: Decision
    plan: PlanRecord | None
    next: tuple[Command, ...]


def decision_record(
    advice: Advice,
    decision: Decision,
    commit: str | None,
    refused: Callable[[Plan, Sequence[Foreseen]], Iterable[UsageProblem]] | None = None,
) -> DecisionRecord:
    """Return what becomes of a decision; a rollback goes to `commit`, or with None to the known-good commit.

    `refused` gives the reasons to refuse its plan; by default those for a person who gives no permission.
    """
    target = advice.target
    plan = plan_of(target, decision, commit)
    if plan is None:
        look = (advice.health(), advice.commits(), advice.logs(target.application.services))
        return DecisionRecord(decision, None, look if decision.action is Action.INVESTIGATE else ())
    now = head(target.application.repository)
    schedule = schedule_of(target, plan)
    foreseen = foresee(target, plan, open_engine(target.engine))
    unpermitted = refusals(Asked(target, plan, Allowed(), foreseen))
    record = PlanRecord(
        plan.commit,
        plan.baseline.id,
        endpoint(),
        tuple(
            StepRecord(step.name, changes, schedule.expected[step.stage])
            for step, changes in outline(target, plan)
        ),
        tuple(losses(plan, _written(target, plan))),
        (
            *cautions(target, plan, now),
            *(
                f"{place} ({what}) is of no store: it stays as it is"
                for place, what in _strays(target, plan).items()
            ),
        ),
        schedule.budget,
        schedule.seconds,
        tuple(not_judged(foreseen)),
        tuple(map(Trouble.of, unpermitted if refused is None else refused(plan, foreseen))),
    )
    return DecisionRecord(decision, record, (advice.rollback(plan.request),))


def decision_lines(record: DecisionRecord) -> Iterator[str]:
    """Yield a decision for people."""
    decision, plan = record.decision, record.plan
    names = f" of {', '.join(decision.names)}" if decision.names else ""
    yield f"decision: {decision.action}{names}"
    yield f"because: {decision.reason}"
    if plan is not None:
        yield f"commit: {plan.commit}, baseline {plan.baseline}"
        yield f"engine: {plan.engine}"
        yield "steps:"
        for number, step in enumerate(plan.steps, start=1):
            yield f"  {number:>2}. {step.name}: {step.changes} (about {step.expected_seconds:.0f} s)"
        yield from (f"lost: {loss}" for loss in plan.lost)
        yield from (f"caution: {caution}" for caution in plan.cautions)
        about = f"about {plan.expected_seconds:.0f} s expected"
        yield f"budget: {plan.budget_seconds:g} s (rollback_seconds); {about}"
        yield from plan.foreseen
        yield from (f"refused: {refusal.summary}; {refusal.hint}" for refusal in plan.refused)
    for number, command in enumerate(record.next):
        yield f"{'      ' if number else 'next: '}{command}"


def _strays(target: Target, plan: Plan) -> Mapping[str, str]:
    """Return the mounts that a restore would leave alone, since no store holds them."""
    if plan.backup is None:
        return {}
    try:
        return stray_mounts(target, open_engine(target.engine))
    except Problem as problem:
        return {"volumes of the application": f"not known: {problem.summary}"}


def _written(target: Target, plan: Plan) -> Mapping[str, Written | str]:
    if plan.backup is None:
        return {}
    return written_since(target, open_engine(target.engine), plan.backup, plan.stores)
