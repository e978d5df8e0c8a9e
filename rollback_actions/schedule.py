"""How long the steps of a rollback may take: their deadlines, which add up to the budget when the plan fits.

What a step is expected to take is told by the backup that it goes back to: how long that took. The budget is
shared out in proportion; a plan whose steps are expected to take more than the budget is over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fixtures.target import Target
from rollback_actions.plan import Plan
from rollback_actions.wish import Kind

# Seconds, as seen on two cores; what depends on the amount of data is asked of the backup.
_LOOK, _STOP, _UP, _CHECK_OUT = 2.0, 10.0, 5.0, 2.0
_START_ONE, _START_ALL = 15.0, 25.0
_LEAST = 5.0
# A restore writes what a backup reads, and a store that was restored by its volumes starts anew.
_RESTORE_FACTOR = 2.0


class Stage(StrEnum):
    """Part of a rollback with a deadline of its own; what is done side by side in it shares that."""

    LOOK = "look"
    STOP = "stop"
    UP = "up"
    KEEP = "keep"
    CHECK_OUT = "check out"
    RESTORE = "restore"
    ACCOUNT = "account"
    START = "start"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Expected seconds of each stage, within `budget`, seconds for all of them."""

    expected: Mapping[Stage, float]
    budget: float

    @property
    def seconds(self) -> float:
        """Expected seconds of the whole."""
        return sum(self.expected.values())

    @property
    def over_budget(self) -> bool:
        """Whether it is expected to take longer than the budget."""
        return self.seconds > self.budget

    def deadline(self, stage: Stage) -> float:
        """Return the seconds that `stage` may take: its share of the budget, and no less than expected."""
        return round(self.expected[stage] * max(self.budget / self.seconds, 1.0), 1)

    @property
    def deadlines(self) -> float:
        """Seconds of all deadlines together."""
        return sum(self.deadline(stage) for stage in self.expected)


def schedule_of(target: Target, plan: Plan) -> Schedule:
    """Return the schedule of `plan`."""
    stages = {Stage.STOP: _STOP, Stage.START: _START_ONE if plan.kind is Kind.SERVICE else _START_ALL}
    if plan.images:
        stages[Stage.LOOK] = _LOOK
    if plan.checks_out:
        stages[Stage.CHECK_OUT] = _CHECK_OUT
    if plan.backup is not None:
        backup = max((plan.backup.seconds.get(name, 0.0) for name in plan.stores), default=0.0)
        index = max(plan.backup.index_seconds, _LEAST)
        stages |= {
            Stage.UP: _UP,
            Stage.KEEP: index + max(backup, _LEAST),
            Stage.RESTORE: max(_RESTORE_FACTOR * backup, _LEAST),
            Stage.ACCOUNT: index,
        }
    return Schedule(
        {stage: stages[stage] for stage in Stage if stage in stages}, float(target.rollback_seconds)
    )
