"""What a rollback is refused for although it could be done: each has a reason, and a word that allows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fixtures.errors import UsageProblem
from fixtures.incident import Incident, RollbackRecord, load_incident
from fixtures.target import Target
from rollback_actions.advice import Advice
from rollback_actions.age import age
from rollback_actions.plan import Plan
from rollback_actions.schedule import schedule_of
from rollback_actions.unfinished import left_nothing
from rollback_actions.wish import Kind, Wish

# A safety copy may be larger than the backup: the stores have grown since, and what grew is exported too.
_ROOM_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the person at the keyboard allows: the target's name, a rollback over budget, one done again."""

    confirm: str | None = None
    over_budget: bool = False
    again: bool = False

    def words(self, target: Target) -> tuple[str, ...]:
        """Return what the next command has to be given too."""
        confirm = ("--confirm", target.name) if target.protected else ()
        return (*confirm, *(("--over-budget",) if self.over_budget else ()))


def refuse(target: Target, plan: Plan, allowed: Allowed, *, resumed: bool = False) -> None:
    """Refuse what `allowed` does not allow; changes nothing.

    Raises:
        UsageProblem: the first of `refusals`.
    """
    for refusal in refusals(target, plan, allowed, resumed=resumed):
        raise refusal


def refusals(
    target: Target, plan: Plan, allowed: Allowed, *, resumed: bool = False
) -> Iterator[UsageProblem]:
    """Yield each reason not to roll back, with what to add to the command.

    One that is `resumed` is not done again, and has kept what was there before.
    """
    yield from _unconfirmed(target, allowed.confirm)
    if not allowed.over_budget:
        yield from _over_budget(target, plan)
    if not (allowed.again or resumed):
        yield from _within_hold(target, plan.wish)
    if not resumed:
        yield from _without_room(target, plan)


def _unconfirmed(target: Target, confirm: str | None) -> Iterator[UsageProblem]:
    if confirm is not None and confirm != target.name:
        yield UsageProblem(
            what="confirmation",
            expected=f"the name of the target, {target.name}",
            observed=repr(confirm[:80]),
            source="--confirm",
            hint="see that the profile is the one that you mean",
        )
    elif target.protected and confirm is None:
        yield UsageProblem(
            what=f"target {target.name}",
            expected="a confirmation, since it is protected",
            observed="none",
            source="protected of the profile",
            hint=f"add --confirm {target.name}",
        )


def _over_budget(target: Target, plan: Plan) -> Iterator[UsageProblem]:
    schedule = schedule_of(target, plan)
    if schedule.over_budget:
        longest = max(schedule.expected, key=lambda stage: schedule.expected[stage])
        yield UsageProblem(
            what=f"plan {plan.wish}",
            expected=f"{schedule.budget:g} s at most",
            observed=f"about {schedule.seconds:.0f} s, of which {longest} {schedule.expected[longest]:.0f} s",
            source="rollback_seconds of the profile, and how long the backup took",
            hint="add --over-budget, or roll back less: python -m rollback_actions plan",
        )


def _within_hold(target: Target, wish: Wish) -> Iterator[UsageProblem]:
    for incident, record, done in _done(target):
        ago = record.finished.seconds_ago()
        if done.commit == wish.commit and done.covers(wish) and ago < target.hold_seconds:
            yield UsageProblem(
                what=f"rollback {wish}",
                expected=f"none to that commit in the last {age(target.hold_seconds)}",
                observed=f"{done}, {age(ago)} ago, in incident {incident.id}",
                source="hold_seconds of the profile",
                hint="verify that one first (pytest -m verification); to do it once more, add --again",
            )


def _done(target: Target) -> Iterator[tuple[Incident, RollbackRecord, Wish]]:
    """Yield the rollbacks that left nothing to go on with, however many an incident has seen."""
    for path in target.folders.incidents.glob("*/incident.json"):
        try:
            incident = load_incident(path.parent)
        except UsageProblem:
            # One that is damaged is no reason to leave a target as it is.
            continue
        if incident.target == target.name:
            for record in _done_in(incident):
                # One of a kind that a later version has is none of ours.
                if record.kind in set(Kind):
                    yield incident, record, Wish(Kind(record.kind), record.commit, record.names)


def _done_in(incident: Incident) -> Iterator[RollbackRecord]:
    yield from incident.earlier_rollbacks()
    with suppress(UsageProblem):
        last = incident.rollback()
        if last is not None and left_nothing(incident, last):
            yield last


def _without_room(target: Target, plan: Plan) -> Iterator[UsageProblem]:
    if plan.backup is None:
        return
    needed = _ROOM_FACTOR * sum(plan.backup.stores[name].size for name in plan.stores)
    for folder in (target.folders.backups, target.folders.incidents):
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed:
            yield UsageProblem(
                what="room for what the stores hold now",
                expected=f"{needed / 1e6:,.0f} MB",
                observed=f"{free / 1e6:,.0f} MB",
                source=str(folder),
                hint="make room there, or name another folder in the profile: nothing is overwritten unkept",
            )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def advice_of(target: Target, profile: Path) -> Advice:
    """Return the commands for `target`, as they are typed by one who knows what it asks for."""
    return Advice(target, profile, Allowed().words(target))
