"""Capture a baseline of a target as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fixtures.application.canary import Canary, Conversation, canary_in_use, patience_with_the_monitor
from fixtures.application.client import ApplicationClient, Session, refusal_of, told
from fixtures.baseline.containers import record_container
from fixtures.baseline.facts import Facts, RecordedCanary, RecordedContainer, Surroundings
from fixtures.baseline.folder import BaselineDraft
from fixtures.baseline.recording import record_content, record_store
from fixtures.baseline.seal import new_sealing
from fixtures.baseline.strictness import record_strictness
from fixtures.baseline.surroundings import record_surroundings
from fixtures.doctor.examination import examine, require_all, with_others
from fixtures.doctor.probe_table import before_capture
from fixtures.engines.engine import ContainerEngine, EngineUnreached, Inside
from fixtures.engines.factory import open_engine
from fixtures.errors import ActionFailed, Mismatch, Problem, listed
from fixtures.git.repository import read_working_copy
from fixtures.incident.journal_steps import Step
from fixtures.probes.web_probes import usual_milliseconds
from fixtures.stores.references import follow_all
from fixtures.stores.registry import LONG_SECONDS, apart_by_kind, asked_by_kind, open_view
from fixtures.system.rounds import Opened
from fixtures.system.side_by_side import every
from fixtures.target.profile import Target
from rollback_actions.backup.taking import Steps

# Of the canary, each of which phase 3 opens: some show whether any does.
CONVERSATIONS = 10


def capture(target: Target, steps: Steps) -> Path:
    """Record `target` as the new current baseline and return its folder.

    Raises:
        Problem, Mismatch: the target is not in a good state: a service that does not run, a store that does
            not answer, a chat without a regular end; or a volume of the application is of no
            store. A baseline of a bad state would call it good for ever. The first in its order; its notes
            are the others.
    """
    engine, gaps, unread = open_engine(target.engine), list[Problem | Mismatch](), set[str]()
    with _kept(gaps), steps(Step.CONTAINERS) as step:
        # Without an engine, nothing else can be asked.
        engine.running()
        probes = list(before_capture(target, engine))
        outcomes = examine(probes, LONG_SECONDS)
        unread = {probe.store for probe, one in zip(probes, outcomes, strict=True) if one.error is not None}
        require_all(outcomes)
        containers, surroundings, commit = _surroundings(target, engine)
        step.result = f"{len(containers)} containers, commit {commit[:12]}"
    client = ApplicationClient(target.application)
    with _kept(gaps), steps(Step.CANARY) as step:
        canary = _canary(target, engine, client)
        step.result = f"{len(canary.files)} files, grounded in {', '.join(canary.grounded_in)}"
    with _kept(gaps), steps(Step.MEASURE) as step:
        milliseconds = usual_milliseconds(target.application)
        said = [f"{name} {taken:.0f} ms" for name, taken in milliseconds.items()]
        step.result = ", ".join(said) or "neither answers with success"
        interface = client.interface_digest() if target.application.interface else ""
        page = client.page_digest()
        # What is made anew for each request cannot be compared.
        page = page if page == client.page_digest() else ""
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        with steps(Step.CONTENT) as step:
            with _kept(gaps):
                stores = every(
                    lambda name: asked_by_kind(
                        target.stores[name], f"store {name}", LONG_SECONDS, record_store, target, engine, name
                    ),
                    [name for name in target.stores if name not in unread],
                    name="capture",
                )
            # Contents take minutes: they are read once nothing else is missing.
            if gaps:
                raise with_others(gaps)
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
            page=page,
            containers=containers,
            stores=stores,
            canary=canary,
            contents=contents,
            milliseconds=milliseconds,
            surroundings=surroundings,
            profile=record_strictness(target),
        )
        return draft.finish(facts, target.baseline_key)


@contextmanager
def _kept(gaps: list[Problem | Mismatch]) -> Iterator[None]:
    """Keep in `gaps` what ends the body, and go on; but not without an engine, which every part asks."""
    try:
        yield
    except EngineUnreached:
        raise
    except (Problem, Mismatch) as gap:
        gaps.append(gap)


def _surroundings(
    target: Target, engine: ContainerEngine
) -> tuple[tuple[RecordedContainer, ...], Surroundings, str]:
    """Return the containers, what is beside them, and the commit of the working copy."""
    sealing, copy = new_sealing(target), read_working_copy(target.application.repository)
    insides = engine.insides(sealing)
    containers = tuple(
        record_container(container, insides.get(container.id, Inside()), sealing)
        for found in engine.containers().values()
        for container in found
    )
    return containers, record_surroundings(engine.strangers(), copy, sealing), copy.head


def _canary(target: Target, engine: ContainerEngine, client: ApplicationClient) -> RecordedCanary:
    wanted = target.application.canary
    seconds = patience_with_the_monitor(target.application)
    with (
        canary_in_use(target, alone=False, seconds=seconds),
        Opened(lambda name: open_view(name, target.stores[name], engine)) as views,
    ):
        canary = Canary(target, engine, client, lambda: follow_all(wanted.references, views, target.personal))
        try:
            session, can = canary.log_in(), target.application.verifiable
            _require_functions(target, canary, session)
            files = client.files(session, wanted.knowledge_base) if "documents" in can else ()
            known = client.conversations(session)[:CONVERSATIONS] if {"conversations", "turns"} <= can else ()
            turns = {conversation: client.turns(session, conversation) for conversation in known}
            asked = canary.ask(session) if "chat" in can else None
            uploaded = canary.upload(session) if "upload" in can else None
        finally:
            canary.sweep()
    if "documents" in can and not files:
        raise _unfit(target, "documents of the canary's knowledge base", "one or more", "none")
    if asked is not None:
        _require_right(target, asked)
    if uploaded is not None and uploaded.seconds is None:
        limit = target.application.upload_seconds
        raise _unfit(target, "the canary's upload", f"listed within {limit:g} s", "not listed")
    if uploaded is not None and not uploaded.is_found:
        observed = listed(uploaded.found_in or ()) or "none"
        raise _unfit(target, "an answer about the canary's upload", f"made from {uploaded.name}", observed)
    return RecordedCanary(files=files, grounded_in=asked.answer.files if asked else (), turns=turns)


def _require_functions(target: Target, canary: Canary, session: Session) -> None:
    """Refuse functions that do not answer as the profile describes them: no check of them would mean much."""
    application, client = target.application, canary.client
    functions, can = application.functions, application.verifiable
    if (owner := client.owner(session)) != application.canary.user:
        raise _unfit(target, "owner of the canary's token", application.canary.user, owner)
    if "own" in can:
        client.own(session)
    if "others" in can:
        of = canary.stranger
        _require_refused(target, "another user", lambda: client.own(session, of=of), functions.refused)
    if "log_in" in can:
        wrong = canary.wrong_password
        _require_refused(target, "a wrong password", lambda: canary.log_in(wrong), functions.wrong_password)


def _require_refused(
    target: Target, what: str, attempt: Callable[[], object], statuses: Sequence[int]
) -> None:
    status = refusal_of(attempt)
    if status not in statuses:
        expected = f"refused with {' or '.join(map(str, statuses))}"
        raise _unfit(target, what, expected, told(status))


def _unfit(target: Target, what: str, expected: str, observed: str) -> ActionFailed:
    return ActionFailed(
        what=what,
        expected=expected,
        observed=observed,
        source=str(target.application.url),
        hint="correct application.canary or application.functions; a baseline is of a good state only",
    )


def _require_right(target: Target, asked: Conversation) -> None:
    """Refuse an answer to the canary's question that is not whole, or not the right one."""
    wanted = target.application.canary
    grounded = asked.is_made_from([wanted.expected_file]) or "sources" not in target.application.verifiable
    if asked.well and grounded and asked.says(wanted.expected_text):
        return
    right = " and ".join(filter(None, (wanted.expected_file, wanted.expected_text)))
    expected = f"an answer with a regular end, that shows {right}"
    files = listed(asked.answer.files) or "no file"
    raise _unfit(target, "the canary's question", expected, f"{asked}, of {files}")
