"""A plan in words: its steps in order, the changes of each, and the losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rollproof.errors import listed
from rollproof.incident.journal import Step, StepId
from rollproof.incident.rollback_request import RollbackKind
from rollproof.losses.changes import Written
from rollproof.planning.plan import Plan, PlannedStep
from rollproof.profile.profile import Target
from rollproof.system.clock import age


def outline(target: Target, plan: Plan) -> Iterator[tuple[PlannedStep, str]]:
    """Yield the steps of `plan` in order, each with its changes; a step within another is left out."""
    for planned in plan.steps:
        if planned.part_of is None:
            yield planned, _changes(target, plan, planned.id)


def _changes(target: Target, plan: Plan, step: StepId) -> str:
    """Return the changes of a step in words."""
    match step.step:
        case Step.UP:
            services = ", ".join(target.stores[step.of].services)
            return f"starts {services} where stopped" if services else "changes nothing: it is no server"
        case Step.RESTORE:
            return _restore(target, plan, step.of)
        case Step.START | Step.RECREATE:
            return "; ".join((*_of_completion(plan), *_of_start(plan, plan.stopped)))
        case Step.MAINTENANCE_OFF:
            again = _of_start(plan, (plan.maintained,)) if plan.images else ()
            return "; ".join((f"{plan.maintained} answers again", *again))
    commit, safety = plan.commit[:12], target.folders.backups / "safety"
    stops = [*map(", ".join, plan.stops), *([", ".join(plan.removed)] if plan.removed else [])]
    unserved = "" if plan.maintained else ": not served from here to the last step"
    others = {
        Step.MAINTENANCE_ON: f"{plan.maintained} says 503 with Retry-After to every request, from here to the"
        " last step",
        Step.STOP: f"stops {', then '.join(stops)}{unserved}",
        Step.QUIET: "changes nothing; fails while a writer is there, and watches on",
        Step.KEEP: f"writes what was written since the backup into the incident, a copy of all to {safety}",
        Step.CHECK_OUT: f"{target.application.repository} goes to {commit}; changes that are not committed"
        " are kept",
        Step.WATCHED: "changes nothing; fails when a writer was seen",
        Step.REMOVE: f"removes the containers of {step.of}, which {commit} lacks; their volumes stay",
        Step.KEEP_OUT: f"{plan.maintained} says 503 to users again, and lets in whoever has"
        " application.maintenance.way_in",
    }
    return others.get(step.step, "changes nothing")


def _restore(target: Target, plan: Plan, store: str) -> str:
    if plan.backup is None:
        return "changes nothing"
    kept = plan.backup.stores.get(store)
    records = kept.records if kept is not None else {}
    went = (
        f"{store}, of risk {target.stores[store].risk}, goes back to {sum(records.values()):,} records of "
        f"{plan.backup.folder.name}"
    )
    mounts = [f"{service}:{place}" for service, place in target.stores[store].mounts]
    held = [f"{name} {records.get(name, 0):,}" for name in mounts] if kept is not None else []
    return f"{went}: {', '.join(held)}" if held else went


def losses(plan: Plan, written: Mapping[str, Written | str]) -> Iterator[str]:
    """Yield the losses of `plan`, in words; `written` is the data written to its stores since the backup."""
    if plan.backup is None:
        yield "no data: stores are not touched"
    else:
        finished = plan.backup.finished
        yield (
            f"what was written to {', '.join(plan.stores)} since the backup of {finished.wall}, "
            f"{age(finished.seconds_ago())} ago; it is exported, and is in the safety copy"
        )
        if plan.backup.passed_over:
            yield f"what newer sets held, which are damaged: {listed(plan.backup.passed_over)}"
        for name, what in written.items():
            yield f"  {name}: {what if isinstance(what, Written) else f'not known: {what}'}"
    if plan.kind is not RollbackKind.SERVICE:
        yield "requests that are being answered when the application stops"
    else:
        yield f"requests that {plan.stopped[0]} is answering when it stops"


def cautions(target: Target, plan: Plan, head: str) -> Iterator[str]:
    """Yield the risks of rolling one part back while the rest stays, on commit `head`."""
    for name, reference in target.references.items():
        sides = {reference.referencing.store, reference.referenced.store}
        back, stays = sides & {*plan.stores}, sides - {*plan.stores}
        if back and stays:
            parted = f"{min(back)} goes back and {min(stays)} stays"
            yield f"reference {name}: {parted}: names may dangle; roll both back, or replay the lost window"
    if plan.checks_out:
        return
    if head != plan.commit:
        part = ", ".join(plan.request.names)
        yield f"{part} goes to {plan.commit[:12]}, the rest stays on {head[:12]}: see that the two fit"
    ours = {c.image for c in plan.baseline.facts.containers if c.service in plan.images}
    sharing = sorted(
        c.service
        for c in plan.baseline.facts.containers
        if c.image in ours and c.service not in plan.images and c.service in target.application.services
    )
    if sharing:
        yield f"the tag goes back too, and {', '.join(sharing)} with it when next re-created"


def _of_completion(plan: Plan) -> Iterator[str]:
    if plan.completing:
        services = ", ".join(plan.completing)
        yield f"re-creates {services}, which end when they have done their work, if not as recorded"


def _of_start(plan: Plan, services: Sequence[str]) -> Iterator[str]:
    if not services:
        return
    if not plan.images:
        again = [service for service in services if service in plan.recreated]
        others = [service for service in services if service not in plan.recreated]
        if again:
            yield f"re-creates {', '.join(again)}, whose volumes went back, on the images that they have"
        if others:
            yield f"starts {', '.join(others)} as they are"
        return
    yield "re-creates " + ", ".join(
        f"{service} on {plan.images[service].removeprefix('sha256:')[:12]}" for service in services
    )
    facts = plan.baseline.facts
    tags = {c.image for c in facts.containers if c.service in services and "sha256:" not in c.image}
    if tags:
        yield f"moves {', '.join(sorted(tags))} there"
