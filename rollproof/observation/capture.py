"""Capture a baseline of a target as it is now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from rollproof.application.canary import Canary, Conversation, canary_in_use
from rollproof.application.client import ApplicationClient
from rollproof.baseline.configuration import new_configuration_key, record_container, record_surroundings
from rollproof.baseline.demands import demands_of
from rollproof.baseline.facts import (
    Facts,
    RecordedCanary,
    RecordedContainer,
    RecordedContent,
    Surroundings,
)
from rollproof.baseline.folder import BaselineDraft
from rollproof.baseline.recording import record_content, record_store
from rollproof.engines.engine import ContainerEngine, Inside, open_engine
from rollproof.errors import ActionFailed, listed
from rollproof.git.repository import read_working_copy
from rollproof.incident.journal import Step, Steps
from rollproof.profile.profile import Target
from rollproof.stores.references import follow_all
from rollproof.stores.registry import open_reader
from rollproof.system.side_by_side import Opened, every

# Of the canary, each of which phase 3 opens: some show whether any does.
CONVERSATIONS = 10


def capture(
    target: Target,
    steps: Steps,
    require_good: Callable[[Target, ContainerEngine], None],
    engine: ContainerEngine | None = None,
) -> Path:
    """Record `target` as the new current baseline and return its folder.

    `require_good` raises if the target is not in a good state: a baseline of such a state would call it good
    for ever.
    """
    engine = engine or open_engine(target.engine)
    with steps(Step.CONTAINERS) as step:
        # Without an engine, nothing else can be asked.
        engine.running()
        require_good(target, engine)
        containers, surroundings, commit = _surroundings(target, engine)
        step.result = f"{len(containers)} containers, commit {commit[:12]}"
    client = ApplicationClient(target.application)
    with steps(Step.CANARY) as step:
        canary = _canary(target, engine, client)
        step.result = f"{len(canary.files)} files, grounded in {', '.join(canary.grounded_in)}"
    with steps(Step.MEASURE) as step:
        milliseconds = client.usual_milliseconds()
        said = [f"{name} {taken:.0f} ms" for name, taken in milliseconds.items()]
        step.result = ", ".join(said) or "neither answers with success"
        interface = client.interface_digest() if target.application.interface else ""
        page = client.page_digest()
        # A page that differs at each request cannot be compared.
        page = page if page == client.page_digest() else ""
        page_status = client.page_status()
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        with steps(Step.CONTENT) as step:
            stores = every(partial(record_store, target, engine), target.stores, name="capture")

            def content_of(name: str) -> RecordedContent:
                return record_content(target, engine, name, stores[name].counts, draft.folder)

            contents = every(content_of, target.stores, name="capture")
            collections = sum(len(store.counts) for store in stores.values())
            records = sum(sum(store.counts.values()) for store in stores.values())
            step.result = f"{records:,} records in {collections} collections of {len(stores)} stores"
        facts = Facts(
            commit=commit,
            interface=interface,
            page=page,
            page_status=page_status,
            containers=containers,
            stores=stores,
            canary=canary,
            contents=contents,
            milliseconds=milliseconds,
            surroundings=surroundings,
            demands=demands_of(target),
        )
        return draft.finish(facts, target.baseline_key)


def _surroundings(
    target: Target, engine: ContainerEngine
) -> tuple[tuple[RecordedContainer, ...], Surroundings, str]:
    """Return the containers, those of others that share with them, and the commit of the working copy."""
    configuration_key, copy = new_configuration_key(target), read_working_copy(target.application.repository)
    insides = engine.insides(configuration_key)
    containers = tuple(
        record_container(container, insides.get(container.id, Inside()), configuration_key)
        for found in engine.containers().values()
        for container in found
    )
    return containers, record_surroundings(engine, copy, configuration_key), copy.head


def _canary(target: Target, engine: ContainerEngine, client: ApplicationClient) -> RecordedCanary:
    wanted = target.application.canary
    with (
        canary_in_use(target, alone=False),
        Opened(lambda name: open_reader(name, target.stores[name], engine)) as views,
    ):
        canary = Canary(target, engine, client, lambda: follow_all(wanted.references, views, target.personal))
        try:
            session, can = canary.log_in(), target.application.verifiable
            files = client.files(session, wanted.knowledge_base) if "documents" in can else ()
            known = client.conversations(session)[:CONVERSATIONS] if {"conversations", "turns"} <= can else ()
            turns = {conversation: client.turns(session, conversation) for conversation in known}
            asked = canary.ask(session) if "chat" in can else None
        finally:
            canary.sweep()
    if "documents" in can and not files:
        raise _unfit(target, "documents of the canary's knowledge base", "one or more", "none")
    if asked is not None:
        _require_right(target, asked, files)
    return RecordedCanary(files=files, grounded_in=asked.answer.files if asked else (), turns=turns)


def _unfit(target: Target, what: str, expected: str, observed: str) -> ActionFailed:
    return ActionFailed(
        what=what,
        expected=expected,
        observed=observed,
        source=str(target.application.url),
        hint="correct application.canary or application.functions; a baseline is of a good state only",
    )


def _require_right(target: Target, asked: Conversation, there: Collection[str]) -> None:
    """Refuse an answer to the canary's question that is not whole, or not the right one.

    Where the expected file is among those that are `there`, each file that the answer cites has to be.
    """
    wanted, cited = target.application.canary, asked.answer.files
    grounded = wanted.expected_file in cited or "sources" not in target.application.verifiable
    gone = sorted(set(cited) - set(there)) if wanted.expected_file in there else []
    if asked.well and grounded and not gone and asked.says(wanted.expected_text):
        return
    right = " and ".join(filter(None, (wanted.expected_file, wanted.expected_text)))
    expected = f"an answer with a regular end, that shows {right}"
    if gone:
        expected += f", of files of the knowledge base, which does not list {listed(gone)}"
    files = listed(asked.answer.files) or "no file"
    raise _unfit(target, "the canary's question", expected, f"{asked}, of {files}")
