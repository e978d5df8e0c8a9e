"""Reasons to refuse a rollback that could be done, each with the option that allows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rollproof.backups.room import no_room
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import baseline_of, current_baseline
from rollproof.errors import UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, RollbackRecord, load_incident
from rollproof.monitoring.wish import Wish
from rollproof.planning.advice import TAKE_OVER, Advice
from rollproof.planning.foresight import Foreseen, problems
from rollproof.planning.plan import Plan
from rollproof.planning.schedule import schedule_of
from rollproof.planning.unfinished import left_nothing
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT
from rollproof.system.clock import age


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
    target: Target, plan: Plan, allowed: Allowed, foreseen: Iterable[Foreseen], *, resumed: bool = False
) -> Iterator[UsageProblem]:
    """Yield each reason not to roll back, with the option to add to the command.

    No option allows what is `foreseen` not to work. A `resumed` rollback does not count as repeated, and has
    kept the earlier data already. Whether it can work was asked before it began; but on another engine it is
    refused still.
    """
    yield from _unconfirmed(target, allowed.confirm)
    yield from problems(foreseen, resumed=resumed)
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
            source="rollback_seconds of the profile, how long the backup took, and the health checks",
            hint=f"raise rollback_seconds to {schedule.enough:g}, add --over-budget, or roll back less:"
            f" {typed('plan')}",
        )


def _within_hold(target: Target, plan: Plan) -> Iterator[UsageProblem]:
    """Refuse to repeat a rollback that did not help, or is not known to have helped.

    A rollback holds up the same one, or a part of it, for `hold_seconds` from its end on, if it

    * is done: nothing is left to resume. It passed, or its records are not all accounted for. A
      rollback that failed earlier is resumed by the same command, which repeats nothing;
    * was not verified since: its incident is not closed. Either no run of all four phases has passed yet, or
      a later run did not. A late verification counts too: the rollback helped. So does that of a later
      rollback which covers it;
    * went back to the same commit of the same target, by the same baseline. A good state captured since is
      another state to go back to.
    """
    for held in _unverified(target):
        if held.holds_up(plan.wish, plan.baseline, target):
            yield UsageProblem(
                what=f"rollback {plan.wish}",
                expected=f"none to that commit in the last {age(target.hold_seconds)} that is unverified",
                observed=held.told,
                source="hold_seconds of the profile",
                hint=f"verify that one first ({held.verify}); to do it once more, add --again",
            )


def refuse_hold(target: Target) -> None:
    """Refuse a target on which a rollback that is done would be refused now, if it were asked for again.

    Raises:
        UsageProblem: there is one. `Unverifiable`: the baseline that it would go back to is not whole.
    """
    for held in _unverified(target):
        done = held.wish
        if held.ago < target.hold_seconds:
            # As the plan of its kind finds it.
            baseline = current_baseline(target) if done.partial else baseline_of(target, done.commit)
            if held.holds_up(replace(done, commit=baseline.facts.commit), baseline, target):
                raise UsageProblem(
                    what="hold",
                    expected=f"no rollback of the last {age(target.hold_seconds)} that is unverified",
                    observed=held.told,
                    source="hold_seconds of the profile",
                    hint=f"verify it: {held.verify}",
                )


@dataclass(frozen=True, slots=True)
class _Done:
    """A rollback that is done, and whether it was verified."""

    incident: Incident
    record: RollbackRecord
    verified: bool

    @property
    def wish(self) -> Wish:
        return self.record.wish

    @property
    def ago(self) -> float:
        return self.record.finished.seconds_ago()

    @property
    def told(self) -> str:
        return f"{self.wish}, {age(self.ago)} ago, in incident {self.incident.id}"

    @property
    def verify(self) -> str:
        return typed(f"verify verification --incident={self.incident.id}")

    def settles(self, other: _Done) -> bool:
        """Return whether `other` need not be verified any more, since this later one was."""
        later = self.record.finished.seconds_since(other.record.finished) > 0
        return self.verified and later and self.wish.covers(other.wish)

    def holds_up(self, wish: Wish, baseline: Baseline, target: Target) -> bool:
        """Return whether a rollback by `wish` to `baseline` would repeat it, too soon."""
        # Records of earlier versions do not name the baseline.
        same = self.wish.commit == wish.commit and self.record.baseline in {"", baseline.id}
        return same and self.wish.covers(wish) and self.ago < target.hold_seconds


def _unverified(target: Target) -> Iterator[_Done]:
    """Yield the rollbacks that are done and not verified; an incident may have several."""
    done: list[_Done] = []
    for path in target.folders.incidents.glob(f"*/{INCIDENT}"):
        try:
            incident = load_incident(path.parent)
        except UsageProblem:
            # A damaged incident is no reason to leave a target as it is.
            continue
        if incident.target == target.name:
            done += _done_in(incident)
    for held in done:
        if not held.verified and not any(other.settles(held) for other in done):
            yield held


def _done_in(incident: Incident) -> Iterator[_Done]:
    yield from (_Done(incident, record, record.verified) for record in incident.earlier_rollbacks())
    with suppress(UsageProblem):
        last = incident.rollback()
        if last is not None and left_nothing(incident, last):
            yield _Done(incident, last, incident.closed)


def _without_room(target: Target, plan: Plan) -> Iterator[UsageProblem]:
    if plan.backup is None:
        return
    for folder in (target.folders.backups, target.folders.incidents):
        if problem := no_room(folder, plan.backup, plan.stores):
            yield problem


def advice_of(target: Target, profile: Path) -> Advice:
    """Return the commands for `target`, with the options that it asks for."""
    return Advice(target, profile, Allowed().words(target))
