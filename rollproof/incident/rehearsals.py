"""Rehearsals of a migration, as their journals record them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.errors import Problem, Unverifiable, listed
from rollproof.incident.incident import load_incident
from rollproof.incident.journal import read_journal
from rollproof.profile.premigration import Rehearsals
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL, VERDICT
from rollproof.sealing.seal import seal_state
from rollproof.system.clock import Moment
from rollproof.system.files import sha256_of
from rollproof.system.record_files import WrongRecord, record_of
from rollproof.verdict import Verdict

BEGAN = "rehearsal began"
ENDED = "rehearsal ended"
_SET_ASIDE = "journal-broken-*.jsonl"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a rehearsal.

    `migrated` is the verdict of the checks after the deployment, `rolled_back` the verdict of the verified
    rollback, `verdict_sha256` the hash of the verdict's file. `old_code` is the verdict of phase 3 with the
    code of before on the migrated data. The others are the differences of the migrated stores from the
    baseline, a text each: what is `lost`, `altered` or only `noted`, and what could not be compared.
    """

    migrated: Verdict
    rolled_back: Verdict
    old_code: Verdict
    verdict_sha256: str
    at: Moment
    lost: tuple[str, ...]
    altered: tuple[str, ...]
    noted: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rehearsal of one migration in one incident; `ending` is None if it never came to its end.

    `broken` describes the damage to its journal, or what is not as its record was sealed; "" if all holds.
    """

    folder: Path
    target: str
    migration: str
    known_good: str
    began: Moment
    ending: Ending | None
    broken: str

    @property
    def verdict_is_recorded(self) -> bool:
        """Whether `verdict.json` is the file that the journal names."""
        path = self.folder / VERDICT
        if self.ending is None or not path.is_file():
            return False
        return sha256_of(path) == self.ending.verdict_sha256

    def fault(self) -> str:
        """Return why it is not whole, or did not pass; "" if step 5 takes it."""
        if self.broken:
            return f"whose record does not hold: {self.broken}"
        if self.ending is None:
            return "which was cut off, or runs"
        if not self.verdict_is_recorded:
            return f"whose {VERDICT} is not the one that its journal names"
        if {self.ending.migrated, self.ending.rolled_back} != {Verdict.PASSED}:
            return f"of which the migration {self.ending.migrated}, its rollback {self.ending.rolled_back}"
        return ""


@dataclass(frozen=True, slots=True)
class Found:
    """A search's result: the newest rehearsal that can be read, and the damaged records that may be newer.

    Of a `damaged` one it is not known whether it is of a rehearsal: its incident, and what is wrong with it.
    """

    newest: Rehearsal | None
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RehearsalPlace:
    """The place of a target's recorded rehearsals: a folder, and the staging target's name."""

    incidents: Path
    target: str

    @classmethod
    def of(cls, target: Target) -> RehearsalPlace:
        """Return the place that the profile names, by default the target's own."""
        profile: Rehearsals = target.premigration.rehearsal
        return cls(profile.incidents or target.folders.incidents, profile.target or target.name)

    def search(self, migration: str) -> Found:
        """Find the rehearsal of commit `migration` that began last."""
        try:
            # A broken journal is set aside by the next command in its incident, which begins another.
            folders = sorted(self.incidents.iterdir()) if self.incidents.exists() else []
            journals = [path for one in folders for path in (*sorted(one.glob(_SET_ASIDE)), one / JOURNAL)]
            found = [self._look(path, migration) for path in journals if path.exists()]
        except OSError as error:
            raise Unverifiable.of_file(
                self.incidents,
                error,
                what="records of rehearsals",
                expected="a folder that can be read",
                hint="correct premigration.rehearsal.incidents in the profile, or the folder's permissions",
            ) from None
        newest = max((one for one in found if isinstance(one, Rehearsal)), key=_began, default=None)
        if newest is not None:
            newest = replace(newest, broken=newest.broken or _unsealed(newest.folder))
        damaged = [one for one in found if isinstance(one, tuple)]
        return Found(newest, tuple(why for at, why in damaged if newest is None or at >= _began(newest)))

    def _look(self, path: Path, migration: str) -> Rehearsal | tuple[datetime, str] | None:
        """Return what a journal holds of `migration`; if it is damaged, when it was written, and why."""
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        try:
            if load_incident(path.parent).target != self.target:
                return None
            records, broken = read_journal(path)
        except Problem as problem:
            return written, f"{path.parent.name} ({problem.observed})"
        began = next((r for r in reversed(records) if _says(r, BEGAN, migration)), None)
        if began is None:
            if records and broken is None:
                return None
            why = "it holds no record" if broken is None else str(broken.observed)
            return written, f"{path.parent.name} ({why})"
        ended = next((r for r in records[records.index(began) :] if _says(r, ENDED, migration)), None)
        try:
            return Rehearsal(
                folder=path.parent,
                target=self.target,
                migration=migration,
                known_good=str(began.get("known_good", "")),
                began=Moment.from_record(began["at"]),
                ending=None if ended is None else record_of(Ending, ended, more=True),
                broken="" if broken is None else broken.summary,
            )
        except WrongRecord as error:
            return written, f"{path.parent.name} ({error})"


def _unsealed(folder: Path) -> str:
    """Return in words what does not hold of a record by its own seal, whoever has signed it, or ""."""
    try:
        return listed(seal_state(folder).evidence)
    except Problem as problem:
        return str(problem.observed)


def _began(rehearsal: Rehearsal) -> datetime:
    return datetime.fromisoformat(rehearsal.began.wall)


def _says(record: Mapping[str, Any], event: str, migration: str) -> bool:
    return record.get("event") == event and record.get("migration") == migration
