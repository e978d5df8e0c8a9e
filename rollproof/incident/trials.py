"""The result of trying a backup: restored into a scratch instance next to the target, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from rollproof.errors import ActionFailed, Mismatch, Problem
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class TrialOfStore:
    """The result of restoring and comparing one store, in words: the sum first, then each difference.

    `hint` is the remedy, or "" if unknown.
    """

    verdict: Verdict
    texts: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of restoring the backup set `backup` into a scratch instance, against `baseline`.

    `seconds` is its whole duration, with the instance's start and its removal.
    """

    backup: str
    baseline: str
    stores: Mapping[str, TrialOfStore]
    seconds: float

    def in_words(self, say: Callable[[str], str]) -> Self:
        """Return a copy with each of its texts passed through `say`."""
        stores = {
            name: replace(store, texts=tuple(map(say, store.texts)), hint=say(store.hint))
            for name, store in self.stores.items()
        }
        return replace(self, stores=stores)


def of_problem(problem: Mismatch | Problem) -> TrialOfStore:
    """Return the trial of a store that met `problem`: a wrong finding fails it, any other breaks it."""
    found_wrong = isinstance(problem, (Mismatch, ActionFailed))
    return TrialOfStore(Verdict.FAILED if found_wrong else Verdict.BROKEN, (problem.summary,), problem.hint)


class Part(StrEnum):
    """The parts of a rollback that are tried, each as reports name it."""

    PLAN = "plan"
    IMAGES = "images"
    COMPOSE_FILES = "compose files"
    FORESIGHT = "foresight"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True)
class PartTrial:
    """One part of a rollback, tried without changes: the observation, or the problem that it met."""

    part: Part
    seen: str = ""
    problem: Problem | None = None

    def sides(self) -> dict[str, Any]:
        """Return what was tried, expected and observed, where, and what to do, for `expect`."""
        what, found = f"{self.part} of a rollback", self.problem
        if found is None:
            sides = {"expected": "possible now", "observed": self.seen, "source": "a trial without changes"}
            return {"what": what, **sides, "hint": ""}
        return {
            "what": f"{what}: {found.what}",
            "expected": found.expected,
            "observed": found.observed,
            "source": found.source,
            "hint": found.hint,
        }


TrialOf = Callable[[Part], PartTrial]
"""Tries a part of a rollback; raises `Unverifiable` if that cannot be told."""
