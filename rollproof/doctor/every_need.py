"""All that `doctor` asks about a target, and the questions about its engine, its code and its application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from rollproof.backups.stray_mounts import require_held
from rollproof.baseline.known_good import require_engine
from rollproof.doctor.examination import REQUEST_SECONDS, Need, Wrong
from rollproof.doctor.machine_needs import channel_needs, machine_needs
from rollproof.doctor.store_needs import LONG_SECONDS, store_needs
from rollproof.engines.address import endpoint
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import ActionFailed, Mismatch, listed
from rollproof.git.repository import read_working_copy
from rollproof.monitoring.probes.web_probes import health_now
from rollproof.profile.mistakes import UNANSWERED, unanswered
from rollproof.profile.profile import Target

_BEFORE_CAPTURE = frozenset({"questions", "project", "volumes", "services", "repository"})


def every_need(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield every question about `target`, in the order of the page."""
    yield from _target_needs(target, engine)
    yield from machine_needs(target)
    yield from store_needs(target, engine, REQUEST_SECONDS)
    yield from channel_needs(target)


def before_capture(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield what has to be ok for a baseline of a good state, apart from the canary."""
    for need in (*_target_needs(target, engine), *store_needs(target, engine, LONG_SECONDS)):
        if need.name in _BEFORE_CAPTURE or need.name.endswith(" reader"):
            # A capture takes minutes: large stores and busy engines are waited for, by their own deadlines.
            yield replace(need, seconds=LONG_SECONDS)


def _target_needs(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    there = ("engine", "project")
    yield Need("questions", partial(require_answers, target))
    yield Need("engine", partial(_engine, target, engine))
    yield Need("repository", partial(_working_copy, target))
    yield Need("project", partial(_there, target, engine), ("engine",))
    yield Need("services", partial(_running, target, engine), there)
    yield Need("volumes", partial(_held, target, engine), there)
    yield Need("application", partial(_answers, target))


def require_answers(target: Target) -> str:
    """Return in words that nothing of the profile is left to answer."""
    if left := list(unanswered(target)):
        raise Mismatch(
            what="questions of init",
            expected="an answer to each, in the profile",
            observed=f"{UNANSWERED} for {listed(left)}",
            source="the profile",
            hint=f"put the right words there: each key that holds {UNANSWERED} is one",
        )
    return "none of the profile is left to answer"


def _engine(target: Target, engine: ContainerEngine) -> str:
    engine.running()
    if target.engine.id is not None:
        require_engine(target, engine)
    return endpoint()


def _there(target: Target, engine: ContainerEngine) -> str:
    name = target.engine.project
    if not (containers := engine.containers()):
        raise ActionFailed(
            what="project of the target",
            expected="one that has containers",
            observed=f"no container of {name}",
            source="container engine",
            hint="correct engine.project in the profile, or start it: docker compose ls --all names all",
        )
    return f"{name}: {sum(map(len, containers.values()))} containers"


def _running(target: Target, engine: ContainerEngine) -> str:
    containers = engine.containers()
    bad = {
        service: next(iter(containers.get(service, ())), None)
        for service in target.services
        if not any(one.running and one.healthy for one in containers.get(service, ()))
    }
    if bad:
        remedies = [container.remedy for container in bad.values() if container is not None]
        raise ActionFailed(
            what="services of the target",
            expected="all running and healthy",
            observed=", ".join(f"{service}: {_state_of(container)}" for service, container in bad.items()),
            source=f"project {target.engine.project}",
            hint="; ".join(remedies) or "start them: a baseline is captured of a good state only",
        )
    return f"{len(target.services)} run, and are healthy"


def _state_of(container: Container | None) -> str:
    if container is None:
        return "no container"
    return container.status if container.status != "running" else str(container.health)


def _held(target: Target, engine: ContainerEngine) -> str:
    require_held(target, engine)
    return "each that may hold state is of a store, or named as stateless"


def _working_copy(target: Target) -> str:
    copy = read_working_copy(target.application.repository)
    changes = f"; not committed: {listed(copy.differences, 3)}" if copy.differences else ""
    return f"commit {copy.head[:12]}{changes}"


def _answers(target: Target) -> str:
    application = target.application
    reading = health_now(application, REQUEST_SECONDS)
    if not reading.ok:
        hint = "correct application.url, api and health in the profile, or see the application's log"
        raise Wrong(f"success with {application.health.expect}", reading.text, hint)
    return f"{application.url} health {reading.text}"
