"""The expected seconds of a rollback's steps, and how long each may take.

The backup's own duration gives the expected seconds of the steps that restore it, the health checks of the
baseline's containers those of a start. A plan with more expected seconds than the budget is over it. A step
that runs has all that is left of the budget, except the expected seconds of the stages after its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rollproof.baseline.facts import Facts
from rollproof.incident.rollback_request import RollbackKind
from rollproof.planning.plan import Plan, Stage
from rollproof.profile.profile import Target

# Seconds, as seen on two cores; the steps that depend on the amount of data ask the backup.
_LOOK, _STOP, _UP, _CHECK_OUT = 5.0, 10.0, 20.0, 2.0
_START_ONE, _START_ALL = 15.0, 25.0
_LEAST = 5.0
# Expected seconds are a guess: a deadline is at least this many times as long, whatever is left.
_MARGIN = 1.5
# A migration that gave a table another column altered all its rows. To export them took 50 s at 200,000 rows,
# of which a backup takes 12 s.
_MARGIN_OF_EXPORT = 6.0
# A restore writes the data that a backup reads, and a store restored by its volumes starts again.
_RESTORE_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Expected seconds of each stage; `budget` is the seconds for all stages."""

    expected: Mapping[Stage, float]
    budget: float

    @property
    def seconds(self) -> float:
        """Expected seconds of the whole rollback."""
        return sum(self.expected.values())

    @property
    def over_budget(self) -> bool:
        """Whether the rollback is expected to take longer than the budget."""
        return self.seconds > self.budget

    @property
    def enough(self) -> float:
        """A budget of which no stage needs more than its margin, in whole seconds."""
        return float(round(_MARGIN * self.seconds))

    def share(self, stage: Stage) -> float:
        """Return the share of `stage` in the budget: for a step whose failure is no reason to give up."""
        return self.expected[stage] * max(self.budget / self.seconds, _MARGIN)

    def deadline(self, stage: Stage, left: float) -> float:
        """Return the seconds that a step of `stage` may take when `left` of the rollback's time is left."""
        stages = [*Stage]
        after = stages[stages.index(stage) + 1 :]
        later = sum(self.expected.get(other, 0.0) for other in after)
        margin = _MARGIN_OF_EXPORT if stage is Stage.KEEP else _MARGIN
        return max(left - later, margin * self.expected[stage])


def schedule_of(target: Target, plan: Plan) -> Schedule:
    """Return the schedule of `plan`."""
    seconds = {
        Stage.LOOK: _LOOK,
        Stage.STOP: _STOP,
        Stage.UP: _UP,
        Stage.CHECK_OUT: _CHECK_OUT,
        Stage.START: (_START_ONE if plan.kind is RollbackKind.SERVICE else _START_ALL)
        + _until_healthy(plan.baseline.facts, {*plan.stopped, plan.maintained}),
    }
    if plan.backup is not None:
        backup = max((plan.backup.seconds.get(name, 0.0) for name in plan.stores), default=0.0)
        index = max(plan.backup.index_seconds, _LEAST)
        seconds |= {
            Stage.KEEP: index + max(backup, _LEAST),
            Stage.RESTORE: max(_RESTORE_FACTOR * backup, _LEAST),
            Stage.ACCOUNT: index,
        }
    stages = {step.stage for step in plan.steps}
    return Schedule(
        {stage: seconds[stage] for stage in Stage if stage in stages}, float(target.rollback_seconds)
    )


def _until_healthy(facts: Facts, services: Collection[str]) -> float:
    """Return the seconds until all of `services` can be healthy: their slowest health check, twice.

    One that waits for another (``depends_on``) is asked after that one.
    """
    return 2 * max((one.health_seconds for one in facts.containers if one.service in services), default=0.0)
