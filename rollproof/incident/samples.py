"""The monitor's samples: one JSON line a beat, in one file a target, written by one monitor at a time."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rollproof.errors import Problem, Unverifiable
from rollproof.home import typed
from rollproof.incident.incident import Incident, IncidentKind
from rollproof.profile.profile import Target
from rollproof.reading import lines_of, open_regular
from rollproof.record_names import SAMPLES
from rollproof.system.clock import Moment
from rollproof.system.files import LineWriter, json_line, write_whole
from rollproof.system.process import Process
from rollproof.system.record_files import LEFT_OUT, Must, as_json, parse_record, rounded

if TYPE_CHECKING:
    from rollproof.profile.profile import Target


VERSION = 3
OLDEST_BEATS = 2
"""The age of a sample that still says something about now."""
PART_OF_BEAT = 0.1
"""The part of a beat by which a sample may be early or late."""
_FOLDER = "monitor"
_HINT = "end the monitor, keep that file elsewhere, and start the monitor again"
MOST_READ = 40_000
"""Samples of a record that are read: those of two days, of a beat every five seconds."""
_BLOCK_BYTES = 64 * 1024


class ProbeKind(StrEnum):
    """The kinds of a monitor's questions. Those of a store are asked of each; any other is asked once."""

    HEALTH = "health"
    PAGE = "page"
    REQUESTS = "requests"
    RECORDS = "records"
    CONTAINERS = "containers"
    MEMORY = "memory"
    DISK = "disk"
    CONNECTIONS = "connections"
    LAG = "lag"
    STORE = "store"
    VECTORS = "vectors"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class ProbeId:
    """A probe: its kind, and the store that it asks, or "" for one of no store."""

    kind: ProbeKind
    store: str = ""

    def __str__(self) -> str:
        """Return its name in a sample."""
        return f"{self.kind} {self.store}".rstrip()


class Unreached(StrEnum):
    """Why a question reached nobody, as far as its error tells."""

    REFUSED = "unreachable"
    SILENT = "timeout"
    UNPLACED = "unplaced"  # its address is the engine's to tell, and the engine was not reached


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The answer to one question. `ok` is None if it did not come in time, or says neither yes nor no.

    Its name is in the sample, for people; programs read `kind` and `store`.

    `value` is the figure behind it, if there is one: milliseconds, percent; `figures` are others, by name.
    `services` are those of the target that it has found in trouble. `unreached` says why the question reached
    nobody; None if it reached somebody, or that is not known.
    """

    ok: bool | None
    seconds: float = field(metadata=rounded(4))
    text: str
    value: float | None = field(default=None, metadata=rounded(3))
    figures: Mapping[str, float] = field(default_factory=dict, metadata=rounded(3))
    services: tuple[str, ...] = ()
    kind: ProbeKind = field(kw_only=True)
    store: str = field(default="", kw_only=True, metadata=LEFT_OUT)
    unreached: Unreached | None = field(default=None, kw_only=True, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Sample:
    """One beat: when it came, how many seconds `late` it was, and what each probe said.

    `missed` is the number of beats, directly before this one, at which there was no sample.
    """

    target: str
    monitor: Process
    beat: int
    at: Moment
    late: float = field(metadata=rounded(4))
    missed: int
    probes: Mapping[str, ProbeAnswer]
    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)] = VERSION

    def one(self, kind: ProbeKind) -> ProbeAnswer | None:
        """Return the answer of the probe of that kind, which no store has; None without such a probe."""
        return next((probe for probe in self.probes.values() if probe.kind is kind), None)

    @property
    def cut_off(self) -> bool:
        """Whether the monitor's machine may be cut off: it reached neither the engine nor any store."""
        engine = [*self.of(ProbeKind.CONTAINERS), *self.of(ProbeKind.MEMORY)]
        stores = self.of(ProbeKind.STORE)
        nobody = all(probe.unreached is not None for probe in (*engine, *stores))
        return bool(engine and stores) and nobody

    def answered(self, kind: ProbeKind) -> ProbeAnswer | None:
        """Return the answer of the probe of that kind, or None if it said neither yes nor no."""
        probe = self.one(kind)
        return probe if probe is not None and probe.ok is not None else None

    def of(self, kind: ProbeKind) -> list[ProbeAnswer]:
        """Return the answers of all probes of that kind."""
        return [probe for probe in self.probes.values() if probe.kind is kind]

    def most(self, kind: ProbeKind) -> float | None:
        """Return the largest value of the probes of that kind that have answered, or None without any."""
        answered = [probe.value for probe in self.of(kind) if probe.ok is not None]
        return max((value for value in answered if value is not None), default=None)


def monitor_hint() -> str:
    """Return what to do about a monitor that does not run."""
    return f"start it in a terminal of its own: {typed('monitor')}"


def samples_path(target: Target) -> Path:
    """Return the samples file of `target`."""
    return target.folders.incidents / _FOLDER / f"{target.name}.jsonl"


class SampleWriter(LineWriter):
    """Appends samples to a file. Only one process at a time may do so."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create its folder if missing; raises `OSError` if that fails."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: a sample lost in a crash of the machine matters less than a late beat.
        super().__init__(path, synced=False)

    def write(self, sample: Sample) -> None:
        """Append one sample; raises `OSError` if it could not be written whole."""
        self.append(as_json(sample))


def read_samples(path: Path, count: int, *, hint: str = _HINT) -> tuple[Sample, ...]:
    """Return the last `count` samples, oldest first; fewer if the file has fewer, () without a file.

    A torn last line is left out: it is being written, or a kill tore it.
    An error tells `hint`.

    Raises:
        Unverifiable: the file cannot be read, or a line is no sample.
    """
    samples: list[Sample] = []
    what = "samples of the monitor"
    try:
        with closing(lines_from_end(path)) as lines:
            for number, line in enumerate(lines, start=1):
                what = f"sample {number} from the end"
                samples.append(sample_of(line))
                if len(samples) == count:
                    break
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        expected = "a record of the monitor"
        raise Unverifiable.of_file(path, error, what=what, expected=expected, hint=hint) from None
    return tuple(reversed(samples))


def sample_of(line: bytes) -> Sample:
    """Return the sample in a line; raises `WrongRecord`, which names the error, for any other line."""
    return parse_record(Sample, line)


def lines_from_end(path: Path) -> Generator[bytes]:
    """Yield the complete lines of a file, the last first; it is read from its end, since it may be long.

    A torn last line is left out.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        start = file.seek(0, os.SEEK_END)
        # The end of a line whose beginning is still unread; and whether a complete line's end was seen.
        unread, whole = b"", False
        while start:
            size = min(_BLOCK_BYTES, start)
            start -= size
            file.seek(start)
            unread, *lines = (file.read(size) + unread).split(b"\n")
            for line in reversed(lines):
                if whole:
                    yield line
                whole = True
        if whole:
            yield unread


def is_fresh(age: float, beat_seconds: float) -> bool:
    """Return whether a sample of that age in seconds says something about now: it is two beats old at most.

    Nor is it of the future: that clock cannot be trusted with an age.
    """
    return abs(age) <= OLDEST_BEATS * beat_seconds


def own_samples(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return those of the monitor and of the target that the last of `samples` is of."""
    last = samples[-1]
    return tuple(one for one in samples if (one.monitor, one.target) == (last.monitor, last.target))


def newest_answers(samples: Sequence[Sample]) -> Mapping[str, ProbeAnswer]:
    """Return the probes of the last sample; one that came too late for it is that of the sample before.

    Only if the same monitor took both, one after the other.
    """
    last, *others = reversed(samples[-2:])
    row = others and not last.missed and others[0].monitor == last.monitor
    before = others[0].probes if row else {}
    return {
        name: before.get(name, probe) if probe.ok is None else probe for name, probe in last.probes.items()
    }


def off_the_beat(samples: Sequence[Sample], seconds: float) -> Iterator[tuple[str, str]]:
    """Yield each deviation of more than `PART_OF_BEAT` from one beat per `seconds`, late beats first."""
    allowed = PART_OF_BEAT * seconds
    yield from ((f"beat {one.beat}", f"{one.late:.3f} s late") for one in samples if abs(one.late) > allowed)
    for before, after in pairwise(samples):
        apart = after.at.seconds_since(before.at)
        if after.beat != before.beat + 1 or after.missed:
            yield "the last beats", f"{after.beat - before.beat - 1} missing before beat {after.beat}"
        elif abs(apart - seconds) > allowed:
            yield f"beat {after.beat}", f"{apart:.3f} s after beat {before.beat}"


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
