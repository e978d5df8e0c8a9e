"""A plan in words: its steps in their order, what each changes, what is lost, and the time that there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fixtures.errors import listed
from fixtures.target import Target
from rollback_actions.age import age
from rollback_actions.changes import Written
from rollback_actions.losses import account_step
from rollback_actions.maintenance import OFF, ON
from rollback_actions.plan import Plan
from rollback_actions.rollback import CHECK_OUT, KEEP, LOOK, restore_step, start_step, stop_step, up_step
from rollback_actions.schedule import Stage
from rollback_actions.wish import Kind
from rollback_actions.writers import QUIET, WATCHED


@dataclass(frozen=True, slots=True)
class OutlinedStep:
    """A step by the name that it has in the journal, what it changes, and the stage that it is part of."""

    name: str
    changes: str
    stage: Stage


def outline(target: Target, plan: Plan) -> Iterator[OutlinedStep]:
    """Yield the steps of `plan` as the engine does them; the restores are done side by side."""
    if plan.images:
        yield OutlinedStep(LOOK, "changes nothing", Stage.LOOK)
    order = ", then ".join(", ".join(group) for group in plan.stops)
    if plan.maintained:
        answer = "says 503 with Retry-After to every request, from here to the last step"
        yield OutlinedStep(ON, f"{plan.maintained} {answer}", Stage.STOP)
        yield OutlinedStep(stop_step(plan), f"stops {order}", Stage.STOP)
    else:
        stops = f"stops {order}: not served from here to the last step"
        yield OutlinedStep(stop_step(plan), stops, Stage.STOP)
    for name in plan.stores:
        services = ", ".join(target.stores[name].services)
        yield OutlinedStep(up_step(name), f"starts {services} where stopped", Stage.UP)
    if plan.stores:
        yield OutlinedStep(QUIET, "changes nothing; fails while a writer is there, and watches on", Stage.UP)
        folder = target.folders.backups / "safety"
        yield OutlinedStep(
            KEEP,
            f"writes what was written since the backup into the incident, a copy of all to {folder}",
            Stage.KEEP,
        )
    if plan.checks_out:
        repository = target.application.repository
        goes = f"{repository} goes to {plan.commit[:12]}; changes that are not committed are kept"
        yield OutlinedStep(CHECK_OUT, goes, Stage.CHECK_OUT)
    if plan.backup is not None:
        for name in plan.stores:
            records = sum(plan.backup.stores[name].records.values()) if name in plan.backup.stores else 0
            goes = f"{name} goes back to {records:,} records of {plan.backup.folder.name}"
            yield OutlinedStep(restore_step(name), goes, Stage.RESTORE)
            yield OutlinedStep(account_step(name), "changes nothing", Stage.ACCOUNT)
        yield OutlinedStep(WATCHED, "changes nothing; fails when a writer was seen", Stage.ACCOUNT)
    yield OutlinedStep(start_step(plan), "; ".join(_of_start(plan, plan.stopped)), Stage.START)
    if plan.maintained:
        answers = f"{plan.maintained} answers again"
        again = _of_start(plan, (plan.maintained,)) if plan.images else ()
        yield OutlinedStep(OFF, "; ".join((answers, *again)), Stage.START)


def losses(plan: Plan, written: Mapping[str, Written | str]) -> Iterator[str]:
    """Yield what is no longer there after `plan`; `written` is what was written to its stores since."""
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
    if plan.kind is not Kind.SERVICE:
        yield "requests that are being answered when the application stops"
    else:
        yield f"requests that {plan.stopped[0]} is answering when it stops"


def cautions(target: Target, plan: Plan, head: str) -> Iterator[str]:
    """Yield what follows from rolling a part back while the rest, on commit `head`, stays."""
    if plan.checks_out:
        return
    if head != plan.commit:
        part = ", ".join(plan.wish.names)
        yield f"{part} goes to {plan.commit[:12]}, the rest stays on {head[:12]}: see that the two fit"
    ours = {c.image for c in plan.baseline.facts.containers if c.service in plan.images}
    sharing = sorted(
        c.service
        for c in plan.baseline.facts.containers
        if c.image in ours and c.service not in plan.images and c.service in target.application.services
    )
    if sharing:
        yield f"the tag goes back too, and {', '.join(sharing)} with it when next re-created"


def _of_start(plan: Plan, services: Sequence[str]) -> Iterator[str]:
    if not plan.images:
        yield f"starts {', '.join(services)} as they are"
        return
    yield "re-creates " + ", ".join(
        f"{service} on {plan.images[service].removeprefix('sha256:')[:12]}" for service in services
    )
    facts = plan.baseline.facts
    tags = {c.image for c in facts.containers if c.service in services and "sha256:" not in c.image}
    if tags:
        yield f"moves {', '.join(sorted(tags))} there"
