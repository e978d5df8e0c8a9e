"""The deadlines of a rollback's steps, which add up to the budget when the plan fits.

The backup's own duration gives the expected seconds of the steps that restore it. The budget is shared out in
proportion. A plan with more expected seconds than the budget is over it; near the budget, the deadlines may
add up to more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fixtures.decision.wish import Kind
from fixtures.target.profile import Target
from rollback_actions.rollback.plan import Plan, Stage

# Seconds, as seen on two cores; the steps that depend on the amount of data ask the backup.
_LOOK, _STOP, _UP, _CHECK_OUT = 5.0, 10.0, 20.0, 2.0
_START_ONE, _START_ALL = 15.0, 25.0
_LEAST = 5.0
# Expected seconds are a guess: a deadline is at least this many times as long.
_MARGIN = 1.5
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

    def deadline(self, stage: Stage) -> float:
        """Return the seconds that `stage` may take: its share of the budget, always more than expected."""
        return round(self.expected[stage] * max(self.budget / self.seconds, _MARGIN), 1)

    @property
    def deadlines(self) -> float:
        """Seconds of all deadlines together."""
        return sum(self.deadline(stage) for stage in self.expected)


def schedule_of(target: Target, plan: Plan) -> Schedule:
    """Return the schedule of `plan`."""
    seconds = {
        Stage.LOOK: _LOOK,
        Stage.STOP: _STOP,
        Stage.UP: _UP,
        Stage.CHECK_OUT: _CHECK_OUT,
        Stage.START: _START_ONE if plan.kind is Kind.SERVICE else _START_ALL,
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
