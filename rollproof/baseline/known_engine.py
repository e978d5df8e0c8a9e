"""The container engine that a target is on, known by its ID: the profile's, or the newest baseline's.

A shell with another docker context may reach a project of the same name, such as a copy for tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollproof.baseline.folder import CURRENT, Baseline, read_facts
from rollproof.engines.engine import ContainerEngine, EngineUnreached
from rollproof.errors import Problem, Unverifiable, UsageProblem
from rollproof.home import typed
from rollproof.profile.profile import Target

CONTAINER_ENGINE = "container engine"


@dataclass(frozen=True, slots=True)
class EngineMatch:
    """The ID of the target's engine, "" if nobody knows it, and of the one that answers now.

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
        own = "ask the target's own: docker context ls, docker context use NAME; if this one took its place: "
        return (
            f'{own}id = "{self.now}" in [engine] of the profile' if self.now else f"{own}{typed('capture')}"
        )


def match_engine(target: Target, engine: ContainerEngine, baseline: Baseline | None = None) -> EngineMatch:
    """Return how `engine` fits the one that the profile pins, or else the newest baseline's, or `baseline`'s.

    Raises:
        Unverifiable: the target's is known, and this one does not report its ID.
    """
    known, unread = target.engine.id, ""
    if known is None:
        known, unread = _newest(target)
        if known is None:
            known = baseline.facts.surroundings.engine if baseline is not None else ""
    return EngineMatch(known, engine.id() if known else "", unread)


def require_engine(
    target: Target, engine: ContainerEngine, baseline: Baseline | None = None, *, anew: bool = False
) -> str:
    """Refuse an engine that is not the target's; return what is unsure about one that is not refused, or "".

    Who captures `anew` says that this is the target's from now on, unless the profile pins another.

    Raises:
        UsageProblem: it is another one. `Unverifiable`: the target's is known, and this one reports no ID.
    """
    anew = anew and target.engine.id is None
    try:
        match = match_engine(target, engine, baseline)
    except EngineUnreached:
        raise
    except Unverifiable as problem:
        if not anew:
            raise
        return f"{CONTAINER_ENGINE}: one that does not report its ID ({problem.summary})"
    if match.holds:
        return f"the engine of the last capture is unknown: {match.unread}" if match.unread else ""
    if anew:
        return f"{CONTAINER_ENGINE}: {match.now or 'one without ID'}, and {match.known} at the last capture"
    raise UsageProblem(
        what=CONTAINER_ENGINE,
        expected=match.expected,
        observed=match.observed,
        source="docker info",
        hint=match.hint,
    )


def _newest(target: Target) -> tuple[str | None, str]:
    """Return what the current baseline has recorded; or None, and the reason if it cannot be read."""
    folder = target.folders.baselines / CURRENT
    if not folder.is_symlink():
        return None, ""
    try:
        return read_facts(folder, target.name, target.baseline_key).surroundings.engine, ""
    except Problem as problem:
        return None, problem.summary
