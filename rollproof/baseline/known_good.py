"""The baselines of a target: the one to roll back to, the engine of its capture, and what stands for none.

A baseline does not expire: it is held against the commit and the containers (step 2).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rollproof.baseline.configuration import ConfigurationKey, record_container
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedStore, Surroundings
from rollproof.baseline.folder import Baseline, load_baseline, read_facts
from rollproof.engines.engine import Container, ContainerEngine, EngineUnreached, Inside
from rollproof.errors import Problem, Unverifiable, UsageProblem
from rollproof.home import typed
from rollproof.profile.profile import CURRENT, Target

CONTAINER_ENGINE = "container engine"
_WAITS = "com.docker.compose.depends_on"


def current_baseline(target: Target) -> Baseline:
    """Return the baseline captured last: its commit is the known-good one.

    Raises:
        UsageProblem: there is none. `Unverifiable`: it is not whole, or belongs to another target.
    """
    return baseline_named(target, CURRENT)


def baseline_named(target: Target, name: str) -> Baseline:
    """Return the baseline in the folder `name`; raises as `current_baseline`."""
    folder = target.folders.baselines / name
    if not folder.exists():
        raise UsageProblem(
            what="known-good baseline",
            expected=f"a baseline of {target.name}",
            observed="none",
            source=str(folder),
            hint=f"capture one of a good state: {typed('capture')}",
        )
    return load_baseline(folder, target.name, target.baseline_key)


def present_state(target: Target, engine: ContainerEngine) -> Baseline:
    """Return the containers that are there now as a baseline, which is in no folder.

    Nothing is gained by comparing with it: see `rollproof.baseline.demands.uncovered`. It names what is
    judged by limits alone, such as health and restarts; restarts count from a container's creation.

    Raises:
        Unverifiable: the engine does not answer.
    """
    key = ConfigurationKey(secrets.token_bytes(32))
    there = [container for found in engine.containers().values() for container in found]
    one_shots = {service for container in there for service in _waited_for(container)}
    containers = tuple(
        replace(
            record_container(container, Inside(), key),
            restarts=0,
            # A server that somebody stopped ends well, too.
            completed=container.completed and (not container.labels or container.service in one_shots),
        )
        for container in there
    )
    stores = {name: RecordedStore(store.kind, "", {}) for name, store in target.stores.items()}
    facts = Facts("", "", containers, stores, RecordedCanary((), ()), Surroundings(""), {})
    return Baseline(target.folders.baselines, target.name, datetime.now(UTC).isoformat(), facts)


def _waited_for(container: Container) -> list[str]:
    """Return the services whose end a container waits for, by compose's ``NAME:CONDITION:RESTART``."""
    waits = [one.split(":") for one in container.labels.get(_WAITS, "").split(",")]
    return [words[0] for words in waits if words[1:2] == ["service_completed_successfully"]]


def baseline_of(target: Target, commit: str) -> Baseline:
    """Return the newest whole baseline for `commit`, a full id.

    Raises:
        UsageProblem: there is none; its text lists the baselines found.
    """
    seen = []
    folder = target.folders.baselines
    for path in sorted(folder.glob("*/manifest.json"), reverse=True):
        if path.parent.is_symlink():
            continue
        try:
            found = read_facts(path.parent, target.name, target.baseline_key).commit
            if found == commit:
                return load_baseline(path.parent, target.name, target.baseline_key)
            seen.append(f"one of commit {found[:12]}")
        except Problem as problem:
            seen.append(problem.summary)
    raise UsageProblem(
        what="baseline",
        expected=f"one of commit {commit[:12]}",
        observed="; ".join(seen) or "none",
        source=str(folder),
        hint="without it the images of that commit are unknown; choose a commit that has a baseline",
    )


@dataclass(frozen=True, slots=True)
class EngineMatch:
    """The ID of the target's engine, "" if nobody knows it, and of the one that answers now.

    A shell with another docker context may reach a project of the same name, such as a copy for tests.
    `unread` is the reason why the newest baseline could not be read, or "".
    """

    known: str
    now: str
    unread: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it that this is the target's engine."""
        return self.known in {"", self.now}

    @property
    def expected(self) -> str:
        """The engine that should answer, in words."""
        return f"the target's, {self.known}"

    @property
    def observed(self) -> str:
        """The engine that answers, in words."""
        return f"another one, {self.now or 'without ID'}"

    @property
    def hint(self) -> str:
        """What to do if it does not hold."""
        new = f'id = "{self.now}" in [engine] of the profile' if self.now else typed("capture")
        own = "ask the target's own: docker context ls, docker context use NAME"
        return f"{own}; if this one took its place: {new}"


def match_engine(target: Target, engine: ContainerEngine, baseline: Baseline | None = None) -> EngineMatch:
    """Return how `engine` fits the one that the profile pins, or else the newest baseline's, or `baseline`'s.

    Raises:
        Unverifiable: the target's is known, and this one does not report its ID.
    """
    known, unread = target.engine.id, ""
    if known is None and (target.folders.baselines / CURRENT).is_symlink():
        try:
            folder = target.folders.baselines / CURRENT
            known = read_facts(folder, target.name, target.baseline_key).surroundings.engine
        except Problem as problem:
            unread = problem.summary
    if known is None:
        known = baseline.facts.surroundings.engine if baseline is not None else ""
    return EngineMatch(known, engine.id() if known else "", unread)


def require_engine(
    target: Target, engine: ContainerEngine, baseline: Baseline | None = None, *, capturing: bool = False
) -> str:
    """Refuse an engine that is not the target's; return what is unsure about one that is not refused, or "".

    Who is `capturing` says that this is the target's from now on, unless the profile pins another.

    Raises:
        UsageProblem: it is another one. `Unverifiable`: the target's is known, and this one reports no ID.
    """
    capturing = capturing and target.engine.id is None
    try:
        match = match_engine(target, engine, baseline)
    except EngineUnreached:
        raise
    except Unverifiable as problem:
        if not capturing:
            raise
        return f"{CONTAINER_ENGINE}: one that does not report its ID ({problem.summary})"
    if match.holds:
        return f"the engine of the last capture is unknown: {match.unread}" if match.unread else ""
    if capturing:
        return f"{CONTAINER_ENGINE}: {match.now or 'one without ID'}, and {match.known} at the last capture"
    raise UsageProblem(
        what=CONTAINER_ENGINE,
        expected=match.expected,
        observed=match.observed,
        source="docker info",
        hint=match.hint,
    )
