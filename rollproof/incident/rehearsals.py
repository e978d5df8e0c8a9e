"""Rehearsals of a migration, as their journals record them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Problem, listed
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
class Ending:
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
class Rehearsal:
    """A rehearsal of one migration in one incident; `ending` is None if it never came to its end."""

    folder: Path
    target: str
    migration: str
    known_good: str
    began: Moment
    ending: Ending | None

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


def newest_rehearsal(incidents: Path, target: str, migration: str) -> Rehearsal | None:
    """Return the rehearsal of commit `migration` on the staging target that began last, or None.

    A damaged incident is an error, whoever's it is: it may have a newer rehearsal.
    """
    found: list[Rehearsal] = []
    for path in incidents.glob(f"*/{JOURNAL}"):
        if load_incident(path.parent).target == target:
            found += _last_rehearsal_in(path, target, migration)
    return max(found, key=lambda one: one.began.wall, default=None)


def _last_rehearsal_in(path: Path, target: str, migration: str) -> Iterator[Rehearsal]:
    """Yield the last rehearsal of `migration` in a journal, if it has one."""
    records = [one for one in verify_journal(path) if one.get("migration") == migration]
    begins = [number for number, one in enumerate(records) if one["event"] == BEGAN]
    if begins:
        began = records[begins[-1]]
        ended = next((one for one in records[begins[-1] :] if one["event"] == ENDED), None)
        with well_formed(path):
            ending = None if ended is None else record_of(Ending, ended, more=True)
        yield Rehearsal(
            folder=path.parent,
            target=target,
            migration=migration,
            known_good=str(began.get("known_good", "")),
            began=Moment.from_record(began["at"]),
            ending=ending,
        )
