"""The conditions under which a rollback that could be done may begin, and who may allow what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rollproof.backups.sets import no_room
from rollproof.baseline.known_good import CONTAINER_ENGINE
from rollproof.errors import UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, IncidentKind, RollbackRecord, load_incident
from rollproof.planning.advice import Advice
from rollproof.planning.foresight import Foreseen, problems
from rollproof.planning.plan import Plan
from rollproof.planning.schedule import schedule_of
from rollproof.planning.unfinished import Unfinished, in_the_way, left_nothing
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT, ROLLBACK, UNFINISHED
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A rollback by `plan` that is about to begin, or that somebody wants to know about.

    `unfinished` is the same one, begun earlier. `incident` and `backup` are those that a person named for it.
    """

    target: Target
    plan: Plan
    allowed: Allowed
    foreseen: Iterable[Foreseen] = ()
    unfinished: Unfinished | None = None
    incident: str | None = None
    backup: str | None = None

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
        yield from in_the_way(target.folders.incidents, target.name, request)
    except UsageProblem as damaged:
        yield damaged


def _in_its_own_incident(asked: Asked) -> Iterator[UsageProblem]:
    """Refuse an incident that has a rollback, or the record of a migration, where no gate looks for one."""
    if asked.incident is None or asked.unfinished is not None:
        return
    folder = asked.target.folders.incidents / asked.incident
    taken = any((folder / name).exists() for name in (ROLLBACK, UNFINISHED))
    if taken or ((folder / INCIDENT).exists() and load_incident(folder).kind is IncidentKind.CHANGE):
        yield UsageProblem(
            what="incident of a rollback",
            expected="one without a rollback",
            observed=f"{asked.incident}, {'which has one' if taken else 'the record of a migration'}",
            source="--incident",
            hint="leave --incident out: each rollback has an incident of its own",
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
    """Refuse to repeat a rollback, or a part of one, that did not help, or is not known to have helped.

    It ended within `hold_seconds`, nothing of it is left to resume, its incident was not verified since, and
    it went back to the same commit by the same baseline.
    """
    if asked.allowed.again or asked.resumed:
        return
    target, request = asked.target, asked.plan.request
    for incident, record in _unverified(target):
        same = (record.commit, record.baseline) == (request.commit, asked.plan.baseline.id)
        if same and record.request.covers(request):
            verify = typed(f"verify verification --incident={incident.id}")
            ago = age(record.finished.seconds_ago())
            yield UsageProblem(
                what=f"rollback {request}",
                expected=f"none to that commit in the last {age(target.hold_seconds)} that is unverified",
                observed=f"{record.request}, {ago} ago, in incident {incident.id}",
                source="hold_seconds of the profile",
                hint=f"verify that one first ({verify}); to do it once more, add --again",
            )


def _unverified(target: Target) -> Iterator[tuple[Incident, RollbackRecord]]:
    """Yield the rollbacks of the last `hold_seconds` that are done and not verified."""
    for path in target.folders.incidents.glob(f"*/{INCIDENT}"):
        # A damaged incident is no reason to leave a target as it is.
        with suppress(UsageProblem):
            incident = load_incident(path.parent)
            last = incident.rollback()
            if last is None or incident.target != target.name or incident.closed:
                continue
            if last.finished.seconds_ago() < target.hold_seconds and left_nothing(incident, last):
                yield incident, last


def _with_room(asked: Asked) -> Iterator[UsageProblem]:
    backup, folders = asked.plan.backup, asked.target.folders
    if backup is not None and not asked.resumed:
        yield from no_room((folders.backups, folders.incidents), backup, asked.plan.stores)


CONDITIONS: Mapping[str, Callable[[Asked], Iterator[UsageProblem]]] = {
    "it goes on in the incident, and with the backup, that it began with": _as_begun,
    "no other rollback is half done where this one would hide it or start on its data": _alone,
    "it has an incident of its own, where the gate finds it": _in_its_own_incident,
    "a protected target is confirmed": _confirmed,
    "it can work: engine, revisions, data formats, data that nobody would account for": _can_work,
    "it is expected within the budget": _within_budget,
    "it does not repeat one that is unverified": _not_repeated,
    "there is room for the safety copy": _with_room,
}
"""All that must hold before a rollback may begin. A plan, the commands and the gate ask this list."""


def advice_of(target: Target, profile: Path) -> Advice:
    """Return the commands for `target`, with the options that it asks for."""
    return Advice(target, profile, Allowed().words(target))
