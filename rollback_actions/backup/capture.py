"""Capture a baseline of a target as it is now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fixtures.application.canary import Canary, canary_in_use, patience_with_the_monitor
from fixtures.application.client import ApplicationClient
from fixtures.baseline.containers import record_container
from fixtures.baseline.facts import Facts, RecordedCanary, RecordedContainer, RecordedStore, Surroundings
from fixtures.baseline.folder import BaselineDraft
from fixtures.baseline.recording import record_content
from fixtures.baseline.seal import new_sealing
from fixtures.baseline.sight import whole_sight
from fixtures.baseline.strictness import record_strictness
from fixtures.baseline.surroundings import record_surroundings
from fixtures.engines.engine import Container, ContainerEngine, EngineUnreached, Inside
from fixtures.engines.factory import open_engine
from fixtures.engines.stray_mounts import require_held
from fixtures.errors import ActionFailed, Mismatch, Problem, Unverifiable
from fixtures.git.repository import read_working_copy
from fixtures.incident.journal_steps import Step
from fixtures.probes.web_probes import usual_milliseconds
from fixtures.stores.contract import StoreView
from fixtures.stores.references import follow_all
from fixtures.stores.registry import LONG_SECONDS, apart_by_kind, open_content, open_marks, open_view
from fixtures.system.command import Deadline
from fixtures.system.rounds import Opened
from fixtures.system.side_by_side import every
from fixtures.target.kinds import descriptor_of
from fixtures.target.profile import Target
from rollback_actions.backup.taking import Steps

YOUNG_SECONDS = 20.0
POLL_SECONDS = 0.5


class Gaps:
    """What is missing, said at once: each part is tried, also after another one has failed."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._found: list[Problem | Mismatch] = []

    @contextmanager
    def part(self) -> Iterator[None]:
        """Keep what ends the body, and go on; but not without an engine, which every part asks."""
        try:
            yield
        except EngineUnreached:
            raise
        except (Problem, Mismatch) as gap:
            self._found.append(gap)

    def require_none(self) -> None:
        """Raise the first one, with the others in its notes, if there is any."""
        if not self._found:
            return
        first, *others = self._found
        for other in others:
            for text in (str(other), *getattr(other, "__notes__", ())):
                first.add_note(text)
        raise first


def capture(target: Target, steps: Steps) -> Path:
    """Record `target` as the new current baseline and return its folder.

    Raises:
        Problem, Mismatch: the target is not in a good state: a service that does not run, a store that does
            not answer, a chat without a regular end; or a volume of the application is of no
            store. A baseline of a bad state would call it good for ever. The first in its order; its notes
            are the others.
    """
    engine, gaps = open_engine(target.engine), Gaps()
    with gaps.part(), steps(Step.CONTAINERS) as step:
        containers, surroundings, commit = _surroundings(target, engine)
        step.result = f"{len(containers)} containers, commit {commit[:12]}"
    client = ApplicationClient(target.application)
    with gaps.part(), steps(Step.CANARY) as step:
        canary = _canary(target, engine, client)
        step.result = f"{len(canary.files)} files, grounded in {', '.join(canary.grounded_in)}"
    with gaps.part(), steps(Step.MEASURE) as step:
        milliseconds = usual_milliseconds(target.application)
        said = [f"{name} {taken:.0f} ms" for name, taken in milliseconds.items()]
        step.result = ", ".join(said) or "neither answers with success"
        interface = client.interface_digest() if target.application.interface else ""
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        with steps(Step.CONTENT) as step:
            with gaps.part():
                stores = every(
                    lambda name: apart_by_kind(
                        target.stores[name], f"store {name}", LONG_SECONDS, _asked, target, engine, name
                    ),
                    target.stores,
                    name="capture",
                )
            # Contents take minutes: they are read once nothing else is missing.
            gaps.require_none()
            contents = every(
                lambda name: apart_by_kind(
                    target.stores[name],
                    f"content of store {name}",
                    LONG_SECONDS,
                    record_content,
                    target,
                    engine,
                    name,
                    stores[name].counts,
                    draft.folder,
                ),
                target.stores,
                name="capture",
            )
            collections = sum(len(store.counts) for store in stores.values())
            records = sum(sum(store.counts.values()) for store in stores.values())
            step.result = f"{records:,} records in {collections} collections of {len(stores)} stores"
        facts = Facts(
            commit=commit,
            interface=interface,
            containers=containers,
            stores=stores,
            canary=canary,
            contents=contents,
            milliseconds=milliseconds,
            surroundings=surroundings,
            profile=record_strictness(target),
        )
        return draft.finish(facts, target.baseline_key)


def _surroundings(
    target: Target, engine: ContainerEngine
) -> tuple[tuple[RecordedContainer, ...], Surroundings, str]:
    """Return the containers, what is beside them, and the commit of the working copy."""
    gaps = Gaps()
    with gaps.part():
        require_held(target, engine)
    with gaps.part():
        sealing = new_sealing(target)
    with gaps.part():
        _require_running(target, engine)
    with gaps.part():
        copy = read_working_copy(target.application.repository)
    gaps.require_none()
    insides = engine.insides(sealing)
    containers = tuple(
        record_container(container, insides.get(container.id, Inside()), sealing)
        for found in engine.containers().values()
        for container in found
    )
    return containers, record_surroundings(engine.strangers(), copy, sealing), copy.head


def _require_running(target: Target, engine: ContainerEngine) -> None:
    containers = engine.containers()
    bad = {
        service: next(iter(containers.get(service, ())), None)
        for service in target.services
        if not any(_good(container) for container in containers.get(service, ()))
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


def _state_of(container: Container | None) -> str:
    if container is None:
        return "no container"
    return container.status if container.status != "running" else str(container.health)


def _good(container: Container) -> bool:
    return container.running and container.healthy


def _asked(target: Target, engine: ContainerEngine, name: str) -> RecordedStore:
    """Return what a store says of itself; its reader sees all of it, or this is refused before it is read."""
    with closing(open_view(name, target.stores[name], engine)) as view:
        server = view.ask().server
        judged = descriptor_of(target.stores[name]).judge is not None
        marks = open_marks(name, target.stores[name], engine) if judged else {}
        store = RecordedStore(view.kind, server, counts_of(view), marks)
    with open_content(name, target.stores[name], engine) as content:
        whole_sight(content)
    return store


def counts_of(view: StoreView) -> dict[str, int]:
    """Return the counts; wait for a collection that a user has just made, and that cannot be counted yet.

    Raises:
        Unverifiable: one cannot be counted for `YOUNG_SECONDS`.
    """
    deadline = Deadline(YOUNG_SECONDS)
    while True:
        try:
            return dict(view.counts())
        except Unverifiable:
            if deadline.passed:
                raise
        time.sleep(POLL_SECONDS)


def _canary(target: Target, engine: ContainerEngine, client: ApplicationClient) -> RecordedCanary:
    wanted = target.application.canary
    seconds = patience_with_the_monitor(target.application)
    with (
        canary_in_use(target, alone=False, seconds=seconds),
        Opened(lambda name: open_view(name, target.stores[name], engine)) as views,
    ):
        canary = Canary(target, engine, client, lambda: follow_all(wanted.references, views, target.personal))
        try:
            session = canary.log_in()
            files = client.files(session, wanted.knowledge_base)
            conversation = canary.ask(session)
        finally:
            canary.sweep()
    answer = conversation.answer
    if not answer.complete or wanted.expected_file not in answer.files:
        raise ActionFailed(
            what="the canary's question",
            expected=f"an answer with a regular end, grounded in {wanted.expected_file}",
            observed=f"{answer.ending} end, grounded in {', '.join(answer.files) or 'nothing'}",
            source=str(target.application.url),
            hint="correct application.canary in the profile; a baseline is captured of a good state only",
        )
    return RecordedCanary(files=files, grounded_in=answer.files)
