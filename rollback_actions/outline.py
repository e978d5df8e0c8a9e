"""A plan in words: its steps in their order, what each changes, what is lost, and the time that there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fixtures.target import Target
from rollback_actions.maintenance import OFF, ON
from rollback_actions.plan import Plan
from rollback_actions.rollback import CHECK_OUT, KEEP, LOOK, restore_step, start_step, stop_step, up_step
from rollback_actions.wish import Kind
from rollback_actions.writers import QUIET, WATCHED

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class OutlinedStep:
    """A step by the name that it has in the journal, and what it changes."""

    name: str
    changes: str


def outline(target: Target, plan: Plan) -> Iterator[OutlinedStep]:
    """Yield the steps of `plan` as the engine does them; the restores are done side by side."""
    if plan.images:
        yield OutlinedStep(LOOK, "changes nothing")
    order = ", then ".join(", ".join(group) for group in plan.stops)
    if plan.maintained:
        answer = "says 503 with Retry-After to every request, from here to the last step"
        yield OutlinedStep(ON, f"{plan.maintained} {answer}")
        yield OutlinedStep(stop_step(plan), f"stops {order}")
    else:
        yield OutlinedStep(stop_step(plan), f"stops {order}: not served from here to the last step")
    for name in plan.stores:
        services = ", ".join(target.stores[name].services)
        yield OutlinedStep(up_step(name), f"starts {services} where stopped")
    if plan.stores:
        yield OutlinedStep(QUIET, "changes nothing; fails while a writer is there, and watches from here on")
        folder = target.folders.backups / "safety"
        yield OutlinedStep(KEEP, f"writes a copy of {', '.join(plan.stores)} to {folder}")
    if plan.checks_out:
        repository = target.application.repository
        yield OutlinedStep(
            CHECK_OUT, f"{repository} goes to {plan.commit[:12]}; changes that are not committed are kept"
        )
    if plan.backup is not None:
        for name in plan.stores:
            records = sum(plan.backup.stores[name].records.values()) if name in plan.backup.stores else 0
            yield OutlinedStep(
                restore_step(name), f"{name} goes back to {records:,} records of {plan.backup.folder.name}"
            )
        yield OutlinedStep(WATCHED, "changes nothing; fails when a writer was seen")
    yield OutlinedStep(start_step(plan), "; ".join(_of_start(plan, plan.stopped)))
    if plan.maintained:
        answers = f"{plan.maintained} answers again"
        again = _of_start(plan, (plan.maintained,)) if plan.images else ()
        yield OutlinedStep(OFF, "; ".join((answers, *again)))


def losses(plan: Plan) -> Iterator[str]:
    """Yield what is no longer there after `plan`."""
    if plan.backup is None:
        yield "no data: stores are not touched"
    else:
        finished = plan.backup.finished
        yield (
            f"what was written to {', '.join(plan.stores)} since the backup of {finished.wall}, "
            f"{age(finished.seconds_ago())} ago; it is in the safety copy"
        )
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


def age(seconds: float) -> str:
    """Return a length of time as people say it."""
    whole = int(max(seconds, 0))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


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
