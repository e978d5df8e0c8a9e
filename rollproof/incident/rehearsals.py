"""Rehearsals of a migration, as their journals record them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollproof.errors import Problem, Unverifiable, listed, reason_of
from rollproof.incident.incident import load_incident, target_of_id
from rollproof.incident.journal import head_of, read_journal
from rollproof.profile.premigration import Rehearsals
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.record_names import JOURNAL, VERDICT
from rollproof.sealing.seal import seal_state
from rollproof.system.clock import Moment
from rollproof.system.files import sha256_of
from rollproof.system.record_files import record_of
from rollproof.verdict import Verdict

BEGAN = "rehearsal began"
ENDED = "rehearsal ended"
_SET_ASIDE = "journal-broken-*"


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
class Damaged:
    """A record that may be of a rehearsal, and is too damaged to say so: an incident's `name`, and `why`.

    A rehearsal in it began at `latest`, or before.
    """

    name: str
    why: str
    latest: datetime

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name} ({self.why})"


@dataclass(frozen=True, slots=True)
class Found:
    """A search's result: the newest rehearsal that can be read, and the damaged records that may be newer."""

    newest: Rehearsal | None
    damaged: tuple[Damaged, ...]


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
        """Find the rehearsal of commit `migration` that began last.

        Raises:
            Unverifiable: the folder cannot be read.
        """
        rehearsals: list[Rehearsal] = []
        damaged: list[Damaged] = []
        for folder in self._folders():
            target, unknown = _target_of(folder)
            if target not in {self.target, None}:
                continue
            # A broken journal is set aside by the next command in its incident, which begins another.
            aside = {path.with_suffix(".jsonl") for path in folder.glob(_SET_ASIDE)}
            for path in (*sorted(aside), folder / JOURNAL):
                found = self._look(path, migration, unknown)
                if isinstance(found, Rehearsal):
                    rehearsals.append(found)
                elif found is not None:
                    damaged.append(found)
        newest = max(rehearsals, key=_began, default=None)
        if newest is not None:
            newest = replace(newest, broken=newest.broken or _unsealed(newest.folder))
        newer = (one for one in damaged if newest is None or one.latest >= _began(newest))
        return Found(newest, tuple(newer))

    def _folders(self) -> list[Path]:
        try:
            # Without its journal, a head shows that there was one.
            names = (JOURNAL, head_of(Path(JOURNAL)).name, _SET_ASIDE)
            return sorted({path.parent for name in names for path in self.incidents.glob(f"*/{name}")})
        except OSError as error:
            raise Unverifiable(
                what="records of rehearsals",
                expected="a folder that can be read",
                observed=reason_of(error),
                source=str(self.incidents),
                hint="correct premigration.rehearsal.incidents in the profile, or the folder's permissions",
            ) from None

    def _look(self, path: Path, migration: str, unknown: str) -> Rehearsal | Damaged | None:
        """Return what a journal holds of `migration`; `unknown` is why its target is not known, or ""."""
        name = path.parent.name
        try:
            records, broken = read_journal(path)
        except Problem as problem:
            return Damaged(name, str(problem.observed), _last_written(path))
        began = next((r for r in reversed(records) if _says(r, BEGAN, migration)), None)
        if began is None:
            if broken is None or _is_of_another(path, records, migration):
                return None
            return Damaged(name, str(broken.observed), _last_written(path))
        at = datetime.fromisoformat(Moment.from_record(began["at"]).wall)
        if unknown:
            return Damaged(name, unknown, at)
        try:
            return self._rehearsal(path.parent, records[records.index(began) :], broken)
        except (ValueError, KeyError, TypeError) as error:
            return Damaged(name, f"{type(error).__name__}: {error}", at)

    def _rehearsal(
        self, folder: Path, records: Sequence[Mapping[str, Any]], broken: Problem | None
    ) -> Rehearsal:
        """Return the rehearsal that begins with the first of `records`."""
        began = records[0]
        ended = next((r for r in records if _says(r, ENDED, str(began["migration"]))), None)
        return Rehearsal(
            folder=folder,
            target=self.target,
            migration=str(began["migration"]),
            known_good=str(began.get("known_good", "")),
            began=Moment.from_record(began["at"]),
            ending=None if ended is None else record_of(Ending, ended, more=True),
            broken="" if broken is None else broken.summary,
        )


def _unsealed(folder: Path) -> str:
    """Return in words what does not hold of a record by its own seal, whoever has signed it, or ""."""
    try:
        return listed(seal_state(folder).evidence)
    except Problem as problem:
        return str(problem.observed)


def _target_of(folder: Path) -> tuple[str | None, str]:
    """Return the target of an incident, or None with the reason why it is not known."""
    try:
        return load_incident(folder).target, ""
    except Problem as problem:
        return target_of_id(folder.name), str(problem.observed)


def _is_of_another(path: Path, records: Sequence[Mapping[str, Any]], migration: str) -> bool:
    """Return whether a broken journal is of something else than a rehearsal of `migration`.

    That one's first and last record name the migration. A journal that was truncated may have lost both.
    """
    try:
        text = read_regular(path)
    except OSError:
        return False
    begun = any(record["event"] == BEGAN for record in records)
    truncated = text.count(b"\n") <= len(records)
    return bool(records) and migration.encode() not in text and (begun or not truncated)


def _last_written(path: Path) -> datetime:
    """Return when a journal was last written, or changed: what it holds began before."""
    times = []
    for one in (path, head_of(path)):
        with suppress(OSError):
            times.append(one.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else datetime.now(UTC)


def _began(rehearsal: Rehearsal) -> datetime:
    return datetime.fromisoformat(rehearsal.began.wall)


def _says(record: Mapping[str, Any], event: str, migration: str) -> bool:
    return record.get("event") == event and record.get("migration") == migration
