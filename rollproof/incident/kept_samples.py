"""The monitor's samples around an incident, kept in its folder as the source of every later account.

They are taken when a rollback or a response begins, and again when it or a run of checks has ended, to
include the recovery. Each time adds the samples since, and writes the file whole. No step of an incident
waits for samples, or fails without: a record next to the samples says which are missing and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from rollproof.errors import Problem, Unverifiable, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.incident.incident import Incident, IncidentKind
from rollproof.monitoring.samples import (
    MOST_READ,
    Sample,
    lines_from_end,
    read_samples,
    sample_of,
    samples_path,
)
from rollproof.profile.profile import Target
from rollproof.reading import lines_of
from rollproof.record_names import SAMPLES, TAKEN
from rollproof.system.clock import Moment
from rollproof.system.files import json_line, write_whole
from rollproof.system.record_files import as_json, read_record, write_record

BEFORE_SECONDS = 1800.0
"""Seconds before the incident's beginning at which they begin."""
MOST = 7200
"""Maximum number kept: if there are more, the first half and the last half of this number."""


@dataclass(frozen=True, slots=True)
class KeptSamples:
    """How many samples are in the incident, from when to when (ISO 8601, UTC), and what is not.

    `left_out` are those between its two halves where there were more than `MOST`. The rest is of the last
    time that some were taken. `damaged` lines of the monitor's file were no samples. `problem` says why none
    could be added, or None when that went well.
    """

    count: int
    first: str | None
    last: str | None
    left_out: int = 0
    damaged: int = 0
    problem: str | None = None

    def __str__(self) -> str:
        """Return it in words."""
        said = [f"{self.count} of the monitor, {self.first} to {self.last}" if self.count else "none"]
        said += [f"{self.left_out} between left out"] if self.left_out else []
        said += [f"{self.damaged} damaged lines left out"] if self.damaged else []
        return "; ".join([*said, *([self.problem] if self.problem else [])])


_NONE = KeptSamples(0, None, None)


@contextmanager
def samples_kept(target: Target, incident: Incident) -> Iterator[None]:
    """Keep the current samples in `incident`, and again when the body has ended, however it ends."""
    keep_samples(target, incident)
    try:
        yield
    finally:
        keep_samples(target, incident)


def keep_samples(target: Target, incident: Incident) -> KeptSamples:
    """Add to `incident` the new samples of the monitor of `target`, and record that there; never fail.

    A change's record keeps none: the time before a migration is no incident.
    """
    if incident.kind is IncidentKind.CHANGE:
        return _NONE
    try:
        before = read_taken(incident.folder) or _NONE
    except UsageProblem:
        before = _NONE  # it is written again
    try:
        kept = _keep(target, incident, before)
    except Problem as problem:
        kept = _with(before, problem.summary)
    except OSError as error:
        kept = _with(before, f"{reason_of(error)}: {error.filename}")
    try:
        write_record(incident.folder / TAKEN, kept)
    except OSError as error:
        # Without room or permission, only the caller can be told.
        return _with(kept, f"{reason_of(error)}: {incident.folder / TAKEN}")
    return kept


def read_kept(folder: Path) -> tuple[Sample, ...]:
    """Return the samples that the incident in `folder` keeps, oldest first; () if it keeps none.

    Raises:
        Unverifiable: they are damaged, or cannot be read.
    """
    return read_samples(folder / SAMPLES, MOST)


def whole_samples(folder: Path) -> Iterator[Sample]:
    """Yield what can be read of the samples that the incident in `folder` keeps, oldest first."""
    with suppress(OSError):
        for line in islice(lines_of(folder / SAMPLES), MOST_READ):
            with suppress(ValueError):
                yield sample_of(line)


def read_taken(folder: Path) -> KeptSamples | None:
    """Return the record of how the samples in `folder` were taken, or None if none were.

    Raises:
        UsageProblem: that record cannot be read.
    """
    return read_record(
        KeptSamples,
        folder / TAKEN,
        what="record of the samples of the incident",
        expected="a readable record",
        hint=f"delete that file: the samples themselves are in {SAMPLES}",
    )


def _keep(target: Target, incident: Incident, before: KeptSamples) -> KeptSamples:
    path = incident.folder / SAMPLES
    # Damaged samples are left as they are, and nothing is added.
    there = list(read_kept(incident.folder))
    source = samples_path(target)
    if not source.exists():
        raise Unverifiable(
            what="samples of the monitor",
            expected="a file",
            observed="none",
            source=str(source),
            hint=f"start the monitor: {typed('monitor')}",
        )
    new, damaged = _newer(target, source, there[-1].at if there else None, incident.started)
    every = [*there, *new]
    spare = max(0, len(every) - MOST)
    every = [*every[: MOST // 2], *every[-(MOST // 2) :]] if spare else every
    if new:
        write_whole(path, b"".join(json_line(as_json(sample)) for sample in every))
    return KeptSamples(
        count=len(every),
        first=every[0].at.wall if every else None,
        last=every[-1].at.wall if every else None,
        left_out=before.left_out + spare,
        damaged=damaged,
    )


def _newer(target: Target, source: Path, newest: Moment | None, began: Moment) -> tuple[list[Sample], int]:
    """Return the samples after `newest`, or those around the incident's beginning if `newest` is None.

    They come oldest first, with the number of lines between them that were no samples.
    """
    found: list[Sample] = []
    damaged = 0
    with closing(lines_from_end(source)) as lines:
        for line in islice(lines, MOST):
            try:
                sample = sample_of(line)
            except ValueError:
                damaged += 1
                continue
            # One monitor at a time writes that file, so the lines before are older.
            if newest is not None and sample.at.seconds_since(newest) <= 0:
                break
            if began.seconds_since(sample.at) > BEFORE_SECONDS:
                break
            if sample.target == target.name:
                found.append(sample)
    return found[::-1], damaged


def _with(kept: KeptSamples, problem: str) -> KeptSamples:
    return replace(kept, damaged=0, problem=problem)
