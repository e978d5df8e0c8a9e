"""An incident: one folder with all records of one rollback and its verification."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from rollproof.errors import ActionFailed, Unverifiable, UsageProblem, listed
from rollproof.home import typed
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.record_names import CLOSED, INCIDENT, LOST_WINDOW, ROLLBACK, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.files import make_folders, remove_file
from rollproof.system.record_files import (
    LEFT_OUT,
    Must,
    Natural,
    WrongRecord,
    load_record,
    rounded,
    write_record,
)
from rollproof.verdict import Verdict

_SHOWN = 5
CENTURY = 100 * 366 * 24 * 3600.0
"""Upper bound of a duration, in seconds: longer than any incident, short enough for `datetime`."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_Seconds = Annotated[float, Must("a number of seconds", lambda seconds: 0 <= seconds < CENTURY)]


@dataclass(frozen=True, slots=True)
class StoreAccount:
    """The account of one store: how many records had which fate, see `rollproof.losses.accounting`.

    `first` names the first unaccounted ones. `unknown` maps collections that could not be read to the reason.
    """

    kept: Natural
    restored: Natural
    exported: Natural
    revived: Natural
    unaccounted: Natural
    expired: Natural = field(default=0, metadata=LEFT_OUT)
    first: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


class IncidentKind(StrEnum):
    """The subject of the record in an incident's folder."""

    INCIDENT = "incident"
    CHANGE = "change"
    """A planned migration: the steps before it."""


def is_commit_id(text: str) -> bool:
    """Return whether `text` is the full id of a commit, as git writes it."""
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is not None


CommitId = Annotated[str, Must("the full id of a commit", is_commit_id)]


@dataclass(frozen=True, slots=True)
class Origin:
    """What was deployed when a rollback began: `head`, the commit of the working copy, and container labels.

    All are full commit ids; a label that is not one is left out of `revisions`.
    """

    head: CommitId
    revisions: tuple[CommitId, ...] = ()

    @property
    def commits(self) -> tuple[str, ...]:
        """All commits, each once."""
        return tuple(dict.fromkeys((self.head, *self.revisions)))


@dataclass(frozen=True, slots=True)
class RollbackRecord:
    """How a rollback ended.

    The phases' windows start at `finished`. `seconds` is the time that its runs took, without pauses between
    them. `names` has the one service or store of a partial rollback, else none. `records` counts the records
    of the restored stores: kept, restored, exported, revived, expired, unaccounted. `origin` is the deployed
    version before it, or None if unknown. `baseline` is the name of the baseline that it went back to, "" if
    unknown; `stores` were restored from backup set `backup`. `copies` are the folders of its safety copies,
    the oldest first. `blind` are the restored stores where a writer may have been unseen, each with the
    reason.
    """

    commit: str
    verdict: Verdict
    seconds: _Seconds = field(metadata=rounded(3))
    started: Moment
    finished: Moment
    kind: RollbackKind = RollbackKind.EMERGENCY
    names: tuple[str, ...] = ()
    records: Mapping[str, int] | None = None
    origin: Origin | None = None
    baseline: str = ""
    backup: str = field(default="", metadata=LEFT_OUT)
    stores: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)
    copies: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)
    blind: Mapping[str, str] = field(default_factory=dict, metadata=LEFT_OUT)

    @property
    def request(self) -> RollbackRequest:
        """The requested rollback."""
        return RollbackRequest(self.kind, self.commit, self.names)

    @property
    def idle(self) -> float:
        """The seconds between its runs, when no run was in progress."""
        return max(0.0, self.finished.seconds_since(self.started) - self.seconds)


@dataclass(frozen=True, slots=True)
class IncidentFile:
    """An incident's own record, `incident.json`. Its id is the name of its folder.

    The name of the target becomes a part of file names, in that folder and next to it.
    """

    target: Annotated[str, Must("the name of a target", re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}").fullmatch)]
    started: Moment
    kind: IncidentKind = IncidentKind.INCIDENT
    version: int = 1


@dataclass(frozen=True, slots=True)
class Closed:
    """When an incident was verified, in `closed.json`."""

    closed: Moment


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident of one target. `folder` exists."""

    id: str
    folder: Path
    target: str
    started: Moment
    kind: IncidentKind = IncidentKind.INCIDENT

    @property
    def closed(self) -> bool:
        """Whether a full verification passed; the next run of checks opens a new incident."""
        return (self.folder / CLOSED).exists()

    def reopen(self) -> None:
        """Withdraw the verification: a problem has been found since."""
        remove_file(self.folder / CLOSED)

    def close(self) -> None:
        """Mark the incident as verified."""
        write_record(self.folder / CLOSED, Closed(Moment.now()))

    def rollback(self) -> RollbackRecord | None:
        """Return the record of the rollback, or None if none has ended.

        Raises:
            UsageProblem: it cannot be read.
        """
        path = self.folder / ROLLBACK
        try:
            return load_record(RollbackRecord, path)
        except FileNotFoundError:
            return None
        except (OSError, WrongRecord) as error:
            raise unusable(self, error, path) from None

    def rollback_verdicts(self) -> list[Verdict]:
        """Return the rollback's part of the incident's verdict: [] without a rollback."""
        rollback = self.rollback()
        if (self.folder / UNFINISHED).exists():
            # It failed or was killed: until it is run again, passed checks prove little.
            failed = rollback is not None and rollback.verdict == Verdict.FAILED
            return [Verdict.FAILED if failed else Verdict.BROKEN]
        return [rollback.verdict] if rollback is not None else []

    def write_rollback(self, rollback: RollbackRecord) -> None:
        """Record the end of a rollback."""
        path = self.folder / ROLLBACK
        try:
            write_record(path, rollback)
        except OSError as error:
            raise ActionFailed.of_file(
                path,
                error,
                what="record of the rollback",
                expected=f"written: {rollback.verdict}",
                hint=f"make room there, or correct the permissions; then: {typed('rollback status')}",
            ) from None


def new_incident(incidents: Path, target: str) -> Incident:
    """Create the folder of a new incident; its id starts with the UTC time, so that ids sort by age."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return _create(incidents, f"{stamp}-{target}-{secrets.token_hex(2)}", target)


def incident_of(incidents: Path, target: str, wanted: str) -> Incident | None:
    """Return the incident `wanted`, or None if no incident has that id.

    Raises:
        UsageProblem: the id is malformed, or the incident is another target's, or cannot be read.
    """
    if not ID.fullmatch(wanted):
        raise UsageProblem(
            what="incident id",
            expected="letters, digits, '.', '_' and '-', 80 at most",
            observed=repr(wanted),
            source="--incident",
            hint="give the name of a folder in the incidents folder, or leave --incident out",
        )
    if not (incidents / wanted / INCIDENT).exists():
        return None
    incident = load_incident(incidents / wanted)
    if incident.target != target:
        raise UsageProblem(
            what=f"target of incident {wanted}",
            expected=target,
            observed=incident.target,
            source=str(incident.folder / INCIDENT),
            hint="use the profile of that target, or another incident id",
        )
    return incident


def find_or_create_incident(incidents: Path, target: str, wanted: str | None) -> Incident:
    """Return the incident `wanted`, created if missing; None is a new one."""
    if wanted is None:
        return new_incident(incidents, target)
    return incident_of(incidents, target, wanted) or _create(incidents, wanted, target)


def incidents_of(incidents: Path, target: str) -> list[Incident]:
    """Return the incidents of `target`, open and closed, without changes."""
    every = [load_incident(path.parent) for path in sorted(incidents.glob(f"*/{INCIDENT}"))]
    return [one for one in every if one.target == target and one.kind is not IncidentKind.CHANGE]


def find_or_create_change(incidents: Path, target: str, migration: str) -> Incident:
    """Return the record of the migration to commit `migration` (its full id), created if missing."""
    folder = change_folder(incidents, target, migration)
    if (folder / INCIDENT).exists():
        return load_incident(folder)
    return _create(incidents, folder.name, target, kind=IncidentKind.CHANGE)


def change_folder(incidents: Path, target: str, migration: str) -> Path:
    """Return the folder for the record of the migration to commit `migration`; it may not exist."""
    return incidents / f"{IncidentKind.CHANGE}-{target}-{migration[:12]}"


def unusable(incident: Incident, error: Exception, path: Path | None = None) -> UsageProblem:
    """Return the error for an incident whose folder, or the file `path` in it, cannot be used."""
    return UsageProblem.of_file(
        path or getattr(error, "filename", None) or incident.folder,
        error,
        what="record of the incident",
        expected="files that can be read and added to",
        hint="keep that folder as it is, and name another incident: --incident=…",
    )


def load_incident(folder: Path) -> Incident:
    """Return the incident in `folder`.

    Raises:
        UsageProblem: the folder has no incident, or its record cannot be read.
    """
    path = folder / INCIDENT
    try:
        found = load_record(IncidentFile, path)
    except (OSError, WrongRecord) as error:
        raise UsageProblem.of_file(
            path,
            error,
            what="incident",
            expected=f"a readable {INCIDENT}",
            hint="name a folder that a rollback or a verification made"
            if isinstance(error, FileNotFoundError)
            else f"put that file back from a copy, or move {folder} out of the incidents folder",
        ) from None
    return Incident(folder.name, folder, found.target, found.started, found.kind)


def named_incident(wanted: str, incidents: Path) -> Incident:
    """Return the incident `wanted`: an incident's folder, or an id in the folder `incidents`."""
    for folder in (incidents / wanted, Path(wanted)):
        if wanted.strip("/.") and folder.is_dir():
            return load_incident(folder.resolve())
    known = sorted((path.parent.name for path in incidents.glob(f"*/{INCIDENT}")), reverse=True)
    there = listed(known, _SHOWN)
    raise UsageProblem(
        what="incident",
        expected="the id of one, or its folder",
        observed=repr(wanted),
        source=str(incidents),
        hint=f"there are: {there}" if there else "name the folder of one",
    )


def _create(
    incidents: Path, identity: str, target: str, kind: IncidentKind = IncidentKind.INCIDENT
) -> Incident:
    folder = incidents / identity
    try:
        make_folders(folder)
        incident = Incident(id=identity, folder=folder, target=target, started=Moment.now(), kind=kind)
        write_record(folder / INCIDENT, IncidentFile(target, incident.started, kind))
    except OSError as error:
        # Nothing is verified without a record.
        raise Unverifiable.of_file(
            folder,
            error,
            what="record of the incident",
            expected="folders that can be written",
            hint="correct folders.incidents in the profile, or the folder's permissions",
        ) from None
    return incident


def report_paths(folder: Path) -> Iterator[Path]:
    """Yield the paths in an incident's `folder` that a report includes.

    Lost windows are left out: they hold users' data.
    """
    yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith(LOST_WINDOW))
