"""The severity, by the runbook's bands, from the monitor's samples. The same samples give the same answer.

A band is *met* when its figure has been beyond its limit, without a break, for as long as the band says, and
still is. A gap of more than two beats without a monitor is a break. A share of requests counts over the whole
time, and nine beats in ten must have a figure. A band is *clear* when the newest sample's figure is within
its limit. It is *lasting* when the figure is beyond the limit, but not yet for long enough. It is *unknown*
without a figure: no data is never healthy.

A sample of a machine that may be cut off, which reached neither the engine nor any store, counts as none: the
severity is unknown when it is the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rollproof.incident.samples import (
    OLDEST_BEATS,
    PART_OF_BEAT,
    ProbeAnswer,
    ProbeKind,
    Sample,
    Unreached,
    is_fresh,
    read_samples,
    samples_path,
)
from rollproof.system.clock import Moment

if TYPE_CHECKING:  # help names severities, and needs no profile
    from rollproof.profile.bands import Band, Bands
    from rollproof.profile.profile import Target

RECORDS_LOST = "records lost"
"""The band for lost data."""
CUT_OFF = "this machine may be cut off: neither the engine nor any store is reached from here"
_NO_FIGURE = "the newest sample has no such figure"
# In the last such part of the time, a share must be as bad as over all of it: the problem continues.
_PARTS = 4
# Share of a band's beats that must have a figure.
_COVERED = 0.9
Figure = Callable[[Sample], float | None]
"""Reads one figure of a sample, or None if it is unknown."""
Counts = Callable[[Sample], tuple[float, float] | None]
"""Reads the numbers of failed and of all requests."""


class Severity(StrEnum):
    """The severity, worst last."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    NON_CRITICAL = "non-critical"
    CRITICAL = "critical"


class BandState(StrEnum):
    """The state of a band."""

    CLEAR = "clear"
    LASTING = "lasting"
    UNKNOWN = "unknown"
    MET = "met"


@dataclass(frozen=True, slots=True)
class BandFinding:
    """One band's state, in words, and its samples: the first and the last of `beats`.

    `since` is the time of the first sample beyond the limit of a band that is met. It may be long before
    these beats.
    """

    band: str
    severity: Severity
    state: BandState
    text: str
    beats: tuple[int, int] | None = None
    since: Moment | None = None

    def __str__(self) -> str:
        """Return the band's name, state and text."""
        return f"{self.band} ({self.state}: {self.text})"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The severity, and each band's state; `cut_off` if it is unknown since nothing was reached."""

    severity: Severity
    findings: tuple[BandFinding, ...]
    cut_off: bool = False

    @property
    def said(self) -> str:
        """The severity for people, with the reason if this machine may be cut off."""
        return f"{self.severity}: {CUT_OFF}" if self.cut_off else str(self.severity)

    def of(self, state: BandState) -> tuple[BandFinding, ...]:
        """Return the findings of that state."""
        return tuple(finding for finding in self.findings if finding.state is state)

    @property
    def first_bad(self) -> Moment | None:
        """The time of the first sample beyond the limit of the worst bands that are met, or None.

        It reaches back only as far as the samples of the assessment.
        """
        worst = [found for found in self.of(BandState.MET) if found.severity is self.severity]
        found = [finding.since for finding in worst if finding.since is not None]
        return max(found, key=found[0].seconds_since) if found else None


_Judge = Callable[[Sequence[Sample], float], tuple[BandState, str, int, int]]
"""Takes the samples, newest last, and the seconds of a beat.

Returns state, text, and two numbers counted back from the newest sample. The first is of the samples
behind the state. The second is of the samples since the first bad one if the band is met, otherwise 0.
"""


def assess(
    bands: Bands, samples: Sequence[Sample], beat_seconds: float, now: Moment | None = None
) -> Assessment:
    """Return the severity by `samples`, oldest first, of one monitor or of several in turn.

    If `now` is given, samples whose newest is not fresh then count as none. Without it, as in a replay, the
    newest sample counts as current.
    """
    if samples and now is not None and not is_fresh(now.seconds_since(samples[-1].at), beat_seconds):
        samples = ()
    cut_off = bool(samples) and samples[-1].cut_off
    # Nor do earlier ones count then: what is bad may be over by now.
    samples = () if cut_off else [sample for sample in samples if not sample.cut_off]
    there = {None, *(probe.kind for probe in samples[-1].probes.values())} if samples else {None}
    findings = []
    for name, severity, judge, of in _rules(bands):
        if of in there and samples:
            state, text, count, bad = judge(samples, beat_seconds)
            beats, since = (samples[-count].beat, samples[-1].beat), samples[-bad].at if bad else None
            findings.append(BandFinding(name, severity, state, text, beats, since))
        elif of in there:
            findings.append(BandFinding(name, severity, BandState.UNKNOWN, "no sample of now"))
    return Assessment(_severity(findings), tuple(findings), cut_off)


def samples_of(bands: Bands, beat_seconds: float, seconds: float = 0.0) -> int:
    """Return the number of samples that the longest of `bands`, or `seconds`, needs, with a reserve."""
    every: list[Band] = [*vars(bands.critical).values(), *vars(bands.non_critical).values()]
    longest = max(seconds, *(band.seconds for band in every))
    return int(longest / beat_seconds) + max(band.samples for band in every) + 2


def _severity(findings: Sequence[BandFinding]) -> Severity:
    met = {finding.severity for finding in findings if finding.state is BandState.MET}
    for severity in (Severity.CRITICAL, Severity.NON_CRITICAL):
        if severity in met:
            return severity
    clear = all(finding.state is BandState.CLEAR for finding in findings)
    return Severity.HEALTHY if findings and clear else Severity.UNKNOWN


def _rules(bands: Bands) -> Iterator[tuple[str, Severity, _Judge, ProbeKind | None]]:
    """Yield each band with its judge; without a probe of the kind at the end the target has no such part."""
    critical, other, kinds = bands.critical, bands.non_critical, ProbeKind
    bad, worse = Severity.NON_CRITICAL, Severity.CRITICAL
    errors, log_ins = _requests("errors", "requests"), _requests("failed_log_ins", "log_ins")
    connections, lag = critical.connections, other.lag
    used, behind = _most(kinds.CONNECTIONS, connections.limit), _most(kinds.LAG, lag.limit)
    unwell = _value(kinds.CONTAINERS)
    yield "errors", worse, _share(critical.errors, errors), None
    yield "health", worse, _row(critical.health, _failed_health, "failures of health"), None
    yield RECORDS_LOST, worse, _row(critical.records_lost, _value(kinds.RECORDS), "records"), None
    yield "failed log-ins", worse, _share(critical.failed_log_ins, log_ins), None
    yield "memory", worse, _row(critical.memory, _value(kinds.MEMORY), "% of a limit"), None
    yield "disk", worse, _row(critical.disk_free, _value(kinds.DISK), "% free", below=True), None
    yield "stores", worse, _row(critical.stores, _silent_stores, "do not answer"), kinds.STORE
    yield "connections", worse, _row(connections, used, "% of all connections"), kinds.CONNECTIONS
    yield "function", worse, _row(critical.function, _value(kinds.FUNCTION), "failures"), kinds.FUNCTION
    yield "errors", bad, _share(other.errors, errors), None
    yield "latency", bad, _row(other.latency, _latency, "ms (p95)"), None
    yield "latency ratio", bad, _row(other.latency_ratio, _ratio, "x the baseline"), None
    yield "page", bad, _row(other.page, _page(other.page.limit), "ms"), None
    yield "lag", bad, _row(lag, behind, "records behind"), kinds.LAG
    yield "containers", bad, _row(other.containers, unwell, "are not well"), kinds.CONTAINERS
    yield "vectors", bad, _share(other.vectors, _unanswered_vectors), kinds.VECTORS


# From here on a figure is said without a fraction; below, in four digits.
_WHOLE = 1000


def _row(band: Band, figure: Figure, unit: str, *, below: bool = False) -> _Judge:
    """Judge a figure that must be beyond its limit in every sample; a missed beat ends the row."""

    def beyond(value: float) -> bool:
        return value <= band.limit if below else value >= band.limit

    def judge(samples: Sequence[Sample], beat_seconds: float) -> tuple[BandState, str, int, int]:
        value = figure(samples[-1])
        if value is None:
            return BandState.UNKNOWN, _NO_FIGURE, 1, 0
        text = f"{value:,.0f} {unit}" if value >= _WHOLE else f"{value:.4g} {unit}"
        if not beyond(value):
            return BandState.CLEAR, text, 1, 0
        count = 0
        for sample in reversed(samples):
            value, gap = figure(sample), samples[-count].at.seconds_since(sample.at) if count else 0.0
            # A restarted monitor has missed no beat of its own, and does not know of any before.
            if value is None or not beyond(value) or not 0 <= gap <= OLDEST_BEATS * beat_seconds:
                break
            count += 1
            if sample.missed:
                break
        lasted = samples[-1].at.seconds_since(samples[-count].at)
        text = f"{text}, for {lasted:.0f} s"
        if count >= band.samples and lasted >= band.seconds - PART_OF_BEAT * beat_seconds:
            return BandState.MET, text, count, count
        return BandState.LASTING, text, count, 0

    return judge


def _share(band: Band, counts: Counts) -> _Judge:
    """Judge a share of requests, which varies from sample to sample."""

    def judge(samples: Sequence[Sample], beat_seconds: float) -> tuple[BandState, str, int, int]:
        if counts(samples[-1]) is None:
            return BandState.UNKNOWN, _NO_FIGURE, 1, 0
        seconds, least = max(band.seconds, band.samples * beat_seconds), band.samples * beat_seconds
        slack = PART_OF_BEAT * beat_seconds
        last = _last(samples, max(band.seconds / _PARTS, least) - slack)
        percent, asked = _percent(last, counts)
        text = f"{percent:.3g} % of {asked:,.0f}"
        if percent < band.limit or not asked:
            return BandState.CLEAR, text, len(last), 0

        def beyond(looked_at: Sequence[Sample]) -> bool:
            known = sum(counts(sample) is not None for sample in looked_at)
            whole = known >= band.samples and known * beat_seconds >= _COVERED * band.seconds
            return whole and _percent(looked_at, counts)[0] >= band.limit

        looked_at = _last(samples, seconds - slack)
        # The problem is no older than the first failure.
        if not beyond(looked_at) or not _percent(looked_at[:1], counts)[0]:
            return BandState.LASTING, text, len(looked_at), 0
        # It may be older than the band demands: look back while earlier samples meet the band too.
        start, end = len(samples) - len(looked_at), len(samples) - 1
        while end and beyond(one := _last(samples[:end], seconds - slack)):
            start, end = min(start, end - len(one)), end - 1
        good = next(n for n, one in enumerate(samples[start:]) if _percent([one], counts)[0] >= band.limit)
        return BandState.MET, text, len(looked_at), len(samples) - start - good

    return judge


def _last(samples: Sequence[Sample], seconds: float) -> Sequence[Sample]:
    """Return the last of `samples`, within `seconds` of the newest."""
    newest, count = samples[-1].at, 1
    while count < len(samples) and 0 <= newest.seconds_since(samples[-count - 1].at) < seconds:
        count += 1
    return samples[-count:]


def _percent(samples: Sequence[Sample], counts: Counts) -> tuple[float, float]:
    """Return the percentage of failures, and the number of requests."""
    found = [pair for sample in samples if (pair := counts(sample)) is not None]
    failed, asked = sum(pair[0] for pair in found), sum(pair[1] for pair in found)
    return (100 * failed / asked if asked else 0.0), asked


def _value(kind: ProbeKind) -> Figure:
    def read(sample: Sample) -> float | None:
        probe = sample.answered(kind)
        return probe.value if probe else None

    return read


def _most(kind: ProbeKind, limit: float) -> Figure:
    """Read the largest value of that kind; while one of them is unknown, only a value beyond `limit`."""

    def read(sample: Sample) -> float | None:
        most = sample.most(kind)
        whole = all(probe.ok is not None for probe in sample.of(kind))
        return most if most is not None and (whole or most >= limit) else None

    return read


def _page(limit: float) -> Figure:
    """Read the page's loading time. An error that came in time is not a page, and gives no time."""

    def read(sample: Sample) -> float | None:
        probe = sample.answered(ProbeKind.PAGE)
        if probe is None or probe.value is None or (not probe.ok and probe.value < limit):
            return None
        return probe.value

    return read


def _failed_health(sample: Sample) -> float | None:
    """Return 1 if health failed, else 0; no answer is a failure too, while any other probe has one."""
    probe = sample.one(ProbeKind.HEALTH)
    if probe is None or all(other.ok is None for other in sample.probes.values()):
        return None
    return 0.0 if probe.ok else 1.0


def _latency(sample: Sample) -> float | None:
    probe = sample.answered(ProbeKind.REQUESTS)
    if probe is None:
        return None
    return probe.figures.get("p95") if probe.figures.get("requests") else 0.0


def _ratio(sample: Sample) -> float | None:
    found = [sample.answered(kind) for kind in (ProbeKind.HEALTH, ProbeKind.PAGE)]
    ratios = [probe.figures["ratio"] for probe in found if probe and "ratio" in probe.figures]
    return max(ratios, default=None)


def _requests(failed: str, asked: str) -> Counts:
    def read(sample: Sample) -> tuple[float, float] | None:
        probe = sample.answered(ProbeKind.REQUESTS)
        # The source of request counts need not know which requests were log-ins.
        if probe is None or failed not in probe.figures or asked not in probe.figures:
            return None
        return probe.figures[failed], probe.figures[asked]

    return read


def _unanswered_vectors(sample: Sample) -> tuple[float, float] | None:
    every = sample.of(ProbeKind.VECTORS)
    found = [probe for probe in every if probe.unreached is not Unreached.UNPLACED]
    if every and not found:
        return None
    return float(sum(not probe.ok for probe in found)), float(len(found))


def _silent_stores(sample: Sample) -> float | None:
    """Return the number of silent stores, or None while no probe at all has an answer.

    A store that could not be asked, since the engine did not tell where it is, is not silent.
    """
    if all(probe.ok is None for probe in sample.probes.values()):
        return None
    stores = sample.of(ProbeKind.STORE)
    silent = sum(is_silent(probe) for probe in stores)
    return None if not silent and any(probe.unreached is Unreached.UNPLACED for probe in stores) else silent


def is_silent(store: ProbeAnswer) -> bool:
    """Return whether a store was asked, and did not answer well."""
    return not store.ok and store.unreached is not Unreached.UNPLACED


def monitored_samples(target: Target, seconds: float = 0.0) -> tuple[Sample, ...]:
    """Return the last samples of `target`, as many as its bands look back on, oldest first.

    If `seconds` is longer, samples of that time.

    Raises:
        Unverifiable: the file is damaged, or cannot be read.
    """
    count = samples_of(target.severity, target.premigration.monitoring.beat_seconds, seconds)
    found = read_samples(samples_path(target), count)
    return tuple(sample for sample in found if sample.target == target.name)


def is_monitored(target: Target, samples: Sequence[Sample]) -> bool:
    """Return whether the newest of `samples` is fresh."""
    beat = target.premigration.monitoring.beat_seconds
    return bool(samples) and is_fresh(samples[-1].at.seconds_ago(), beat)


def assess_now(target: Target, samples: Sequence[Sample]) -> Assessment:
    """Return the current severity by `samples`, oldest first."""
    return assess(target.severity, samples, target.premigration.monitoring.beat_seconds, Moment.now())
