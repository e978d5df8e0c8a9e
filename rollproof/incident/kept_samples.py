"""The monitor's samples around an incident, kept in its folder: report and downtime are made from these.

They are copied when a rollback or a response begins, and again when it or a run of checks has ended, to
include the recovery. Each time adds the samples since, and writes the file whole. No step of an incident
waits for samples, or fails without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from rollproof.errors import Problem
from rollproof.incident.incident import Incident, IncidentKind
from rollproof.incident.samples import (
    MOST_READ,
    Sample,
    lines_from_end,
    read_samples,
    sample_of,
    samples_path,
)
from rollproof.profile.profile import Target
from rollproof.reading import lines_of
from rollproof.record_names import SAMPLES
from rollproof.system.clock import Moment
from rollproof.system.files import json_line, write_whole
from rollproof.system.record_files import as_json

BEFORE_SECONDS = 1800.0
"""The kept samples begin this many seconds before the incident."""
MOST = 7200
"""Maximum number kept: if there are more, the first half and the last half of this number."""


@contextmanager
def samples_kept(target: Target, incident: Incident, own: Sequence[Sample] = ()) -> Iterator[None]:
    """Keep the current samples in `incident`, and again when the body has ended, however it ends.

    `own` are samples that the caller took itself, where no monitor runs.
    """
    keep_samples(target, incident, own)
    try:
        yield
    finally:
        keep_samples(target, incident)


def keep_samples(target: Target, incident: Incident, own: Sequence[Sample] = ()) -> None:
    """Add to `incident` the new samples of the monitor of `target`, and `own` ones; never fail.

    If the kept file is damaged, nothing is added; damaged lines of the monitor's file are left out. The
    record of a planned migration keeps none: the time before a migration is no incident.
    """
    with suppress(Problem, OSError):
        if incident.kind is IncidentKind.CHANGE:
            return
        source, there = samples_path(target), read_kept(incident.folder)
        new = [*own]
        if source.exists():
            new += _newer(target, source, there[-1].at if there else None, incident.started)
        if not new:
            return
        every = sorted([*there, *new], key=lambda sample: sample.at.seconds_since(incident.started))
        if len(every) > MOST:
            every = [*every[: MOST // 2], *every[-(MOST // 2) :]]
        write_whole(incident.folder / SAMPLES, b"".join(json_line(as_json(sample)) for sample in every))


def read_kept(folder: Path) -> tuple[Sample, ...]:
    """Return the samples that the incident in `folder` keeps, oldest first; () if it keeps none.

    Raises:
        Unverifiable: the file is damaged, or cannot be read.
    """
    return read_samples(folder / SAMPLES, MOST)


def whole_samples(folder: Path) -> Iterator[Sample]:
    """Yield what can be read of the samples that the incident in `folder` keeps, oldest first."""
    with suppress(OSError):
        for line in islice(lines_of(folder / SAMPLES), MOST_READ):
            with suppress(ValueError):
                yield sample_of(line)


def _newer(target: Target, source: Path, newest: Moment | None, began: Moment) -> list[Sample]:
    """Return the samples after `newest`, or those around the incident's beginning if `newest` is None."""
    found: list[Sample] = []
    with closing(lines_from_end(source)) as lines:
        for line in islice(lines, MOST):
            try:
                sample = sample_of(line)
            except ValueError:
                continue
            # One monitor at a time writes that file, so the lines before are older.
            if newest is not None and sample.at.seconds_since(newest) <= 0:
                break
            if began.seconds_since(sample.at) > BEFORE_SECONDS:
                break
            if sample.target == target.name:
                found.append(sample)
    return found[::-1]
