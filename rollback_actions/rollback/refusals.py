"""Reasons to refuse a rollback that could be done, each with the option that allows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fixtures.decision.wish import Kind, Wish
from fixtures.errors import UsageProblem
from fixtures.incident.incident import Incident, RollbackRecord, load_incident
from fixtures.system.clock import age
from fixtures.target.profile import Target
from rollback_actions.rollback.advice import Advice
from rollback_actions.rollback.plan import Plan
from rollback_actions.rollback.schedule import schedule_of
from rollback_actions.rollback.unfinished import left_nothing
from rollback_actions.session.lock import TAKE_OVER

# A safety copy may be larger than the backup: the stores have grown since, and the growth is exported too.
_ROOM_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Allowed:
    """The permissions of the person at the keyboard, given by options of the commands that roll back.

    `confirm` is the target's name. `over_budget` allows a rollback over budget, `again` a repeated one within
    the hold time, `take_over` taking over the lock of a command that has ended.
    """

    confirm: str | None = None
    over_budget: bool = False
    again: bool = False
    take_over: bool = False

    def words(self, target: Target) -> tuple[str, ...]:
        """Return the options that the next command needs too."""
        confirm = ("--confirm", target.name) if target.protected else ()
        return (*confirm, *(("--over-budget",) if self.over_budget else ()))

    def options(self) -> tuple[str, ...]:
        """Return the options for all permissions, as they are typed."""
        given = {"--over-budget": self.over_budget, "--again": self.again, TAKE_OVER: self.take_over}
        confirm = () if self.confirm is None else (f"--confirm={self.confirm}",)
        return (*confirm, *(option for option, is_given in given.items() if is_given))

    def with_earlier(self, earlier: Allowed) -> Allowed:
        """Return these permissions and the `earlier` ones; the newer target name counts."""
        return Allowed(
            confirm=earlier.confirm if self.confirm is None else self.confirm,
            over_budget=self.over_budget or earlier.over_budget,
            again=self.again or earlier.again,
            take_over=self.take_over or earlier.take_over,
        )


def refusals(
    target: Target, plan: Plan, allowed: Allowed, *, resumed: bool = False
) -> Iterator[UsageProblem]:
    """Yield each reason not to roll back, with the option to add to the command.

    A `resumed` rollback does not count as repeated, and has kept the earlier data already.
    """
    yield from _unconfirmed(target, allowed.confirm)
    if not allowed.over_budget:
        yield from _over_budget(target, plan)
    if not (allowed.again or resumed):
        yield from _within_hold(target, plan)
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


def _within_hold(target: Target, plan: Plan) -> Iterator[UsageProblem]:
    """Refuse to repeat a rollback that did not help, or is not known to have helped.

    A rollback holds up the same one, or a part of it, for `hold_seconds` from its end on, if it

    * is done: nothing is left to resume. It passed, or its records are not all accounted for. A
      rollback that failed earlier is resumed by the same command, which repeats nothing;
    * was not verified since: its incident is not closed. Either no run of all four phases has passed yet, or
      a later run did not. A late verification counts too: the rollback helped;
    * went back to the same commit of the same target, by the same baseline. A good state captured since is
      another state to go back to.
    """
    wish = plan.wish
    for incident, record, done in _unverified(target):
        ago = record.finished.seconds_ago()
        # Records of earlier versions do not name the baseline.
        same = done.commit == wish.commit and record.baseline in {"", plan.baseline.id}
        if same and done.covers(wish) and ago < target.hold_seconds:
            yield UsageProblem(
                what=f"rollback {wish}",
                expected=f"none to that commit in the last {age(target.hold_seconds)} that is not verified",
                observed=f"{done}, {age(ago)} ago, in incident {incident.id}",
                source="hold_seconds of the profile",
                hint=f"verify that one first (pytest -m verification --incident={incident.id}); to do it once"
                " more, add --again",
            )


def _unverified(target: Target) -> Iterator[tuple[Incident, RollbackRecord, Wish]]:
    """Yield the rollbacks that are done and not verified; an incident may have several."""
    for path in target.folders.incidents.glob("*/incident.json"):
        try:
            incident = load_incident(path.parent)
        except UsageProblem:
            # A damaged incident is no reason to leave a target as it is.
            continue
        if incident.target == target.name:
            for record in _unverified_in(incident):
                # A kind that only a later version knows is not handled here.
                if record.kind in set(Kind):
                    yield incident, record, Wish(Kind(record.kind), record.commit, record.names)


def _unverified_in(incident: Incident) -> Iterator[RollbackRecord]:
    yield from (record for record in incident.earlier_rollbacks() if not record.verified)
    with suppress(UsageProblem):
        last = incident.rollback()
        if last is not None and left_nothing(incident, last) and not incident.closed:
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
    """Return the commands for `target`, with the options that it asks for."""
    return Advice(target, profile, Allowed().words(target))
