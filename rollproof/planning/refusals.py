"""The conditions under which a rollback that could be done may begin, and who may allow what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rollproof.backups.room import no_room
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import CONTAINER_ENGINE, baseline_of, current_baseline
from rollproof.errors import Problem, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, IncidentKind, RollbackRecord, load_incident
from rollproof.monitoring.rollback_request import RollbackRequest
from rollproof.planning.advice import TAKE_OVER, Advice
from rollproof.planning.foresight import Foreseen, problems
from rollproof.planning.plan import Plan
from rollproof.planning.schedule import schedule_of
from rollproof.planning.unfinished import Unfinished, in_the_way, left_nothing
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT
from rollproof.system.clock import age


@dataclass(frozen=True, slots=True)
class Allowed:
    """The permissions of the person at the keyboard: options of the commands that roll back.

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
        flags = {"--over-budget": self.over_budget, "--again": self.again, TAKE_OVER: self.take_over}
        confirm = () if self.confirm is None else (f"--confirm={self.confirm}",)
        return (*confirm, *(option for option, is_set in flags.items() if is_set))

    def with_earlier(self, earlier: Allowed) -> Allowed:
        """Return these permissions and the `earlier` ones; the newer target name counts."""
        return Allowed(
            confirm=earlier.confirm if self.confirm is None else self.confirm,
            over_budget=self.over_budget or earlier.over_budget,
            again=self.again or earlier.again,
            take_over=self.take_over or earlier.take_over,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A rollback by `plan` that is about to begin, or that somebody wants to know about.

    `unfinished` is the same one, begun earlier. `incident` and `backup` are those that a person named for it.
    `refuse_held` raises `UsageProblem` if the target's lock is held; None leaves the lock to who takes it.
    """

    target: Target
    plan: Plan
    allowed: Allowed
    foreseen: Iterable[Foreseen] = ()
    unfinished: Unfinished | None = None
    incident: str | None = None
    backup: str | None = None
    refuse_held: Callable[[], None] | None = None

    @property
    def resumed(self) -> bool:
        """Whether it has kept the earlier data already."""
        return self.unfinished is not None and bool(self.unfinished.copies)


def refusals(asked: Asked) -> Iterator[UsageProblem]:
    """Yield each reason not to roll back, with what to do about it, by the order of `CONDITIONS`."""
    return (refusal for condition in CONDITIONS.values() for refusal in condition(asked))


def _as_begun(asked: Asked) -> Iterator[UsageProblem]:
    unfinished = asked.unfinished
    if unfinished is None:
        return
    if asked.incident not in {None, unfinished.incident.id}:
        yield UsageProblem(
            what=f"incident of the rollback {unfinished.request}",
            expected=f"{unfinished.incident.id}, in which it began and did not succeed",
            observed=str(asked.incident),
            source="--incident",
            hint="leave --incident out: what was there before it began is recorded in that incident",
        )
    if asked.backup not in {None, unfinished.record.backup}:
        yield UsageProblem(
            what=f"backup set of the rollback {unfinished.request}",
            expected=f"{unfinished.record.backup or 'the newest'}, with which it began and did not succeed",
            observed=repr(asked.backup),
            source="--backup",
            hint=f"resume that one: {typed('rollback resume')}; then roll back with --again --backup NAME",
        )


def _alone(asked: Asked) -> Iterator[UsageProblem]:
    target, request = asked.target, asked.plan.request
    try:
        yield from in_the_way(target.folders.incidents, target.name, request, asked.incident)
    except UsageProblem as damaged:
        yield damaged


def _found_by_the_gate(asked: Asked) -> Iterator[UsageProblem]:
    if asked.incident is None:
        return
    folder = asked.target.folders.incidents / asked.incident
    if (folder / INCIDENT).exists() and load_incident(folder).kind is IncidentKind.CHANGE:
        yield UsageProblem(
            what="incident of a rollback",
            expected="one of its own, or an incident",
            observed=f"{asked.incident}, the record of a migration that is yet to be",
            source="--incident",
            hint="leave --incident out: the gate looks for rollbacks in incidents",
        )


def _confirmed(asked: Asked) -> Iterator[UsageProblem]:
    target, confirm = asked.target, asked.allowed.confirm
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


def _can_work(asked: Asked) -> Iterator[UsageProblem]:
    # One that began was asked this before: it is half done, and nothing is better than its end, if the engine
    # is the target's.
    return problems(one for one in asked.foreseen if not asked.resumed or one.what == CONTAINER_ENGINE)


def _within_budget(asked: Asked) -> Iterator[UsageProblem]:
    schedule = schedule_of(asked.target, asked.plan)
    if schedule.over_budget and not asked.allowed.over_budget:
        longest = max(schedule.expected, key=lambda stage: schedule.expected[stage])
        yield UsageProblem(
            what=f"plan {asked.plan.request}",
            expected=f"{schedule.budget:g} s at most",
            observed=f"about {schedule.seconds:.0f} s, of which {longest} {schedule.expected[longest]:.0f} s",
            source="rollback_seconds of the profile, how long the backup took, and the health checks",
            hint=f"raise rollback_seconds to {schedule.enough:g}, add --over-budget, or roll back less:"
            f" {typed('plan')}",
        )


def _not_repeated(asked: Asked) -> Iterator[UsageProblem]:
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
    if asked.allowed.again or asked.resumed:
        return
    request, baseline = asked.plan.request, asked.plan.baseline
    for held in _held(asked.target):
        if held.repeats(request, baseline):
            yield held.problem(asked.target, f"rollback {request}", "; to do it once more, add --again")


def refuse_hold(target: Target) -> None:
    """Refuse a target on which a rollback that is done would be refused now, if it were asked for again."""
    for held in _held(target):
        # As the plan of its kind finds it.
        request = held.record.request
        baseline = current_baseline(target) if request.partial else baseline_of(target, request.commit)
        if held.repeats(replace(request, commit=baseline.facts.commit), baseline):
            raise held.problem(target, "hold", "")


@dataclass(frozen=True, slots=True)
class _Done:
    """A rollback that is done, and whether it was verified."""

    incident: Incident
    record: RollbackRecord
    verified: bool

    def repeats(self, request: RollbackRequest, baseline: Baseline) -> bool:
        """Return whether a rollback by `request` to `baseline` would repeat this one, or a part of it."""
        own = self.record
        return own.request.covers(request) and (own.request.commit, own.baseline) == (
            request.commit,
            baseline.id,
        )

    def settles(self, other: _Done) -> bool:
        """Return whether `other` need not be verified any more, since this later one was."""
        later = self.record.finished.seconds_since(other.record.finished) > 0
        return self.verified and later and self.record.request.covers(other.record.request)

    def problem(self, target: Target, what: str, also: str) -> UsageProblem:
        """Return the refusal of `what`."""
        verify = typed(f"verify verification --incident={self.incident.id}")
        ago = age(self.record.finished.seconds_ago())
        return UsageProblem(
            what=what,
            expected=f"none to that commit in the last {age(target.hold_seconds)} that is unverified",
            observed=f"{self.record.request}, {ago} ago, in incident {self.incident.id}",
            source="hold_seconds of the profile",
            hint=f"verify that one first ({verify}){also}",
        )


def _held(target: Target) -> Iterator[_Done]:
    """Yield the rollbacks of the last `hold_seconds` that are done and not verified."""
    done: list[_Done] = []
    for path in target.folders.incidents.glob(f"*/{INCIDENT}"):
        # A damaged incident is no reason to leave a target as it is.
        with suppress(UsageProblem):
            incident = load_incident(path.parent)
            if incident.target == target.name:
                done += _done_in(incident)
    for one in done:
        recent = one.record.finished.seconds_ago() < target.hold_seconds
        if recent and not one.verified and not any(other.settles(one) for other in done):
            yield one


def _done_in(incident: Incident) -> Iterator[_Done]:
    """Yield the rollbacks of `incident` that are done; it may have several."""
    yield from (_Done(incident, record, record.verified) for record in incident.earlier_rollbacks())
    with suppress(UsageProblem):
        last = incident.rollback()
        if last is not None and left_nothing(incident, last):
            yield _Done(incident, last, incident.closed)


def _with_room(asked: Asked) -> Iterator[UsageProblem]:
    backup, folders = asked.plan.backup, asked.target.folders
    if backup is not None and not asked.resumed:
        for folder in (folders.backups, folders.incidents):
            if problem := no_room(folder, backup, asked.plan.stores):
                yield problem


def _unlocked(asked: Asked) -> Iterator[UsageProblem]:
    try:
        if asked.refuse_held is not None:
            asked.refuse_held()
    except UsageProblem as refusal:
        yield refusal
    except Problem:
        # An engine that does not answer refuses nothing: the rollback reports it, and changes nothing.
        return


CONDITIONS: Mapping[str, Callable[[Asked], Iterator[UsageProblem]]] = {
    "it goes on in the incident, and with the backup, that it began with": _as_begun,
    "no other rollback is half done where this one would hide it or start on its data": _alone,
    "the gate finds it in its incident": _found_by_the_gate,
    "a protected target is confirmed": _confirmed,
    "it can work: engine, revisions, data formats, data that nobody would account for": _can_work,
    "it is expected within the budget": _within_budget,
    "it does not repeat one that is unverified": _not_repeated,
    "there is room for the safety copy": _with_room,
    "nobody holds the lock": _unlocked,
}
"""All that must hold before a rollback may begin. A plan, the commands and the gate ask this list."""


def advice_of(target: Target, profile: Path) -> Advice:
    """Return the commands for `target`, with the options that it asks for."""
    return Advice(target, profile, Allowed().words(target))
