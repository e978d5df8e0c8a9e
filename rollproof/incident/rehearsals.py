"""Rehearsals of a migration, as their journals record them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from rollproof.errors import ActionFailed, Mismatch, Problem, listed
from rollproof.incident.incident import load_incident
from rollproof.incident.journal import verify_journal, well_formed
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import seal_state
from rollproof.system.clock import Moment
from rollproof.system.record_files import record_of
from rollproof.verdict import Verdict

BEGAN = "rehearsal began"
ENDED = "rehearsal ended"
WRITES = "writes of users"
"""What became of what users wrote during a rehearsal: `text` is a sentence."""


@dataclass(frozen=True, slots=True)
class RehearsalEnding:
    """The end of a rehearsal.

    `migrated` is the verdict of the checks after the deployment, `rolled_back` the verdict of the verified
    rollback, before and after a restart, `old_code` that of phase 3 with the code of before on the migrated
    data. The others are the differences of the migrated stores from the baseline, a text each: what is
    `lost`, `altered` or only `noted`, and what could not be compared.
    """

    migrated: Verdict
    rolled_back: Verdict
    old_code: Verdict
    at: Moment
    lost: tuple[str, ...]
    altered: tuple[str, ...]
    noted: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedRehearsal:
    """A rehearsal of one migration in one incident; `ending` is None if it never came to its end."""

    folder: Path
    target: str
    migration: str
    known_good: str
    began: Moment
    ending: RehearsalEnding | None

    def damage(self) -> str:
        """Return in what the record differs from its seal, whoever has signed it; "" if in nothing."""
        try:
            return listed(seal_state(self.folder).evidence)
        except Problem as problem:
            return str(problem.observed)


def rehearsal_place(target: Target) -> tuple[Path, str]:
    """Return the folder of the incidents of rehearsals, and the staging target's name; by default its own."""
    profile = target.premigration.rehearsal
    return profile.incidents or target.folders.incidents, profile.target or target.name


def newest_rehearsal(incidents: Path, target: str, migration: str) -> RecordedRehearsal | None:
    """Return the rehearsal of commit `migration` on the staging target that began last, or None.

    A damaged incident is an error, whoever's it is: it may have a newer rehearsal.
    """
    found: list[RecordedRehearsal] = []
    for path in incidents.glob(f"*/{JOURNAL}"):
        if load_incident(path.parent).target == target:
            found += _last_rehearsal_in(path, target, migration)
    return max(found, key=lambda one: one.began.wall, default=None)


def _last_rehearsal_in(path: Path, target: str, migration: str) -> Iterator[RecordedRehearsal]:
    """Yield the last rehearsal of `migration` in a journal, if it has one."""
    records = [one for one in verify_journal(path) if one.get("migration") == migration]
    begins = [number for number, one in enumerate(records) if one["event"] == BEGAN]
    if begins:
        began = records[begins[-1]]
        ended = next((one for one in records[begins[-1] :] if one["event"] == ENDED), None)
        with well_formed(path):
            ending = None if ended is None else record_of(RehearsalEnding, ended, more=True)
        yield RecordedRehearsal(
            folder=path.parent,
            target=target,
            migration=migration,
            known_good=str(began.get("known_good", "")),
            began=Moment.from_record(began["at"]),
            ending=ending,
        )


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


class RollbackPart(StrEnum):
    """The parts of a rollback that are tried, each as reports name it."""

    PLAN = "plan"
    IMAGES = "images"
    COMPOSE_FILES = "compose files"
    FORESIGHT = "foresight"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True)
class PartTrial:
    """One part of a rollback, tried without changes: the observation, or the problem that it met."""

    part: RollbackPart
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


TrialOf = Callable[[RollbackPart], PartTrial]
"""Tries a part of a rollback; raises `Unverifiable` if that cannot be known."""
