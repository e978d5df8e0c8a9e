"""Capture a baseline of a target as it is now."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fixtures.application.canary import Canary, canary_in_use, patience_with_the_monitor
from fixtures.application.client import ApplicationClient
from fixtures.baseline.containers import record_container
from fixtures.baseline.facts import Facts, RecordedCanary, RecordedContainer, RecordedContent, RecordedStore
from fixtures.baseline.folder import BaselineDraft
from fixtures.baseline.recording import record_content
from fixtures.baseline.seal import Sealing, new_sealing
from fixtures.baseline.strictness import record_strictness
from fixtures.baseline.surroundings import record_surroundings
from fixtures.engines.engine import Container, ContainerEngine, Inside
from fixtures.engines.factory import open_engine
from fixtures.engines.stray_mounts import require_held
from fixtures.errors import ActionFailed
from fixtures.git.repository import read_working_copy
from fixtures.incident.journal_steps import Step
from fixtures.probes.web_probes import usual_milliseconds
from fixtures.stores.references import follow_all
from fixtures.stores.registry import open_view
from fixtures.system.rounds import Opened
from fixtures.system.side_by_side import each
from fixtures.target.profile import Target
from rollback_actions.backup.taking import Steps


def capture(target: Target, steps: Steps) -> Path:
    """Record `target` as the new current baseline and return its folder.

    Raises:
        Problem: the target is not in a good state: a service that does not run, a store that does not
            answer, a chat without a regular end; or a volume of the application is of no
            store. A baseline of a bad state would call it good for ever.
    """
    engine = open_engine(target.engine)
    with steps(Step.CONTAINERS) as step:
        require_held(target, engine)
        sealing = new_sealing(target)
        containers = tuple(_running(target, engine, sealing))
        copy = read_working_copy(target.application.repository)
        surroundings = record_surroundings(engine.strangers(), copy, sealing)
        commit = copy.head
        step.result = f"{len(containers)} containers, commit {commit[:12]}"
    client = ApplicationClient(target.application)
    with steps(Step.CANARY) as step:
        canary = _canary(target, engine, client)
        step.result = f"{len(canary.files)} files, grounded in {', '.join(canary.grounded_in)}"
    with steps(Step.MEASURE) as step:
        milliseconds = usual_milliseconds(target.application)
        said = [f"{name} {taken:.0f} ms" for name, taken in milliseconds.items()]
        step.result = ", ".join(said) or "neither answers with success"
    published = target.application.interface
    interface = client.interface_digest() if published else ""
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        with steps(Step.CONTENT) as step:
            found = each(
                lambda name: _store(target, engine, name, draft.folder),
                target.stores,
                workers=len(target.stores),
                name="capture",
            )
            stores = {name: store for name, (store, _) in found.items()}
            collections = sum(len(store.counts) for store in stores.values())
            records = sum(sum(store.counts.values()) for store in stores.values())
            step.result = f"{records:,} records in {collections} collections of {len(stores)} stores"
        facts = Facts(
            commit=commit,
            interface=interface,
            containers=containers,
            stores=stores,
            canary=canary,
            contents={name: content for name, (_, content) in found.items()},
            milliseconds=milliseconds,
            surroundings=surroundings,
            profile=record_strictness(target),
        )
        return draft.finish(facts, target.baseline_key)


def _running(target: Target, engine: ContainerEngine, sealing: Sealing) -> list[RecordedContainer]:
    containers = engine.containers()
    bad = [s for s in target.services if not any(_good(c) for c in containers.get(s, ()))]
    if bad:
        raise ActionFailed(
            what="services of the target",
            expected="all running and healthy",
            observed=f"not so: {', '.join(bad)}",
            source=f"project {target.engine.project}",
            hint="a baseline is captured of a good state only",
        )
    insides = engine.insides(sealing)
    return [
        record_container(container, insides.get(container.id, Inside()), sealing)
        for found in containers.values()
        for container in found
    ]


def _good(container: Container) -> bool:
    return container.running and container.healthy


def _store(
    target: Target, engine: ContainerEngine, name: str, folder: Path
) -> tuple[RecordedStore, RecordedContent]:
    with closing(open_view(name, target.stores[name], engine)) as view:
        server = view.ask().server
        store = RecordedStore(kind=view.kind, server=server, counts=dict(view.counts()))
    return store, record_content(target, engine, name, store.counts, folder)


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
