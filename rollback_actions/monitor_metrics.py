"""What a monitor sees, as Prometheus scrapes it: what is not known is no number, and never reads as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fixtures.errors import Problem
from fixtures.monitored import assess_now, is_monitored, monitored_samples
from fixtures.samples import Probe, Sample
from fixtures.severity import (
    CONNECTIONS,
    CONTAINERS,
    DISK,
    HEALTH,
    LAG,
    MEMORY,
    PAGE,
    RECORDS,
    REQUESTS,
    VECTORS,
    Assessment,
    Severity,
    Standing,
)
from fixtures.target import Target
from rollback_actions.web_probes import RATIO

_PREFIX = "rollproof_"
_PERCENTILES = ("50", "95", "99")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the monitor has seen so far."""

    sample: Sample | None = None
    beats: int = 0
    missed: int = 0


class MonitorMetrics(Collector):
    """Makes the metrics of one monitor anew at each scrape, from one sample, whatever is scraped when.

    A sample that is older than two beats says nothing any more, as `assess` has it: then no probe is known.
    """

    def __init__(self, target: Target) -> None:
        """Know nothing yet."""
        self._target = target
        self._seen = _Seen()

    def show(self, sample: Sample) -> None:
        """Take the newest sample; whoever scrapes is not waited for."""
        seen = self._seen
        # In one assignment: a scrape meanwhile sees what was before or what is now, never a part.
        self._seen = _Seen(sample, seen.beats + 1, seen.missed + sample.missed)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        seen = self._seen
        yield from self._of_the_monitor(seen)
        sample = seen.sample
        if sample is None:
            return
        fresh = is_monitored(self._target, (sample,))
        yield from self._of_probes(sample, fresh=fresh)
        if fresh:
            yield from self._of_figures(sample)
        yield from self._of_severity()

    def _of_the_monitor(self, seen: _Seen) -> Iterator[Metric]:
        at = 0.0 if seen.sample is None else datetime.fromisoformat(seen.sample.at.wall).timestamp()
        beat = self._target.premigration.monitoring.beat_seconds
        yield self._gauge("monitor_beat_seconds", "Seconds from one beat to the next, as configured.", beat)
        yield self._gauge(
            "monitor_last_sample_timestamp_seconds", "When the last sample came, in Unix time; 0: none.", at
        )
        if seen.sample is not None:
            late = seen.sample.late
            yield self._gauge("monitor_late_seconds", "Seconds that the last sample was late.", late)
        yield self._counter("monitor_beats", "Beats at which there was a sample.", seen.beats)
        yield self._counter("monitor_missed_beats", "Beats at which there was none.", seen.missed)

    def _of_probes(self, sample: Sample, *, fresh: bool) -> Iterator[Metric]:
        ok = self._family("probe_ok", "1: well. 0: not well. NaN: nobody knows.", "probe")
        seconds = self._family("probe_duration_seconds", "Seconds that its last answer took.", "probe")
        states = self._family("probes", "Probes that are well, not well, or unknown.", "state")
        count = {True: 0, False: 0, None: 0}
        for name, probe in sample.probes.items():
            known = probe.ok if fresh else None
            count[known] += 1
            ok.add_metric([self._target.name, name], math.nan if known is None else float(known))
            seconds.add_metric([self._target.name, name], probe.seconds)
        for state, number in (("ok", count[True]), ("wrong", count[False]), ("unknown", count[None])):
            states.add_metric([self._target.name, state], float(number))
        yield from (ok, seconds, states)

    def _of_figures(self, sample: Sample) -> Iterator[Metric]:
        """Yield the figures of the probes that have answered; those of the others are not there."""
        known = {name: probe for name, probe in sample.probes.items() if probe.ok is not None}
        for figure in _FIGURES:
            family = self._family(figure.name, figure.text, *figure.labels)
            for label, value in figure.read(known):
                family.add_metric([self._target.name, *label], value)
            if family.samples:
                yield family

    def _of_severity(self) -> Iterator[Metric]:
        """Yield how bad it is: what `assess` says now, by the same samples."""
        try:
            assessment = assess_now(self._target, monitored_samples(self._target))
        except Problem:
            # Nobody knows, and a metric has no words for why; `assess` says it.
            assessment = Assessment(Severity.UNKNOWN, ())
        name = f"{_PREFIX}severity"
        text = "How bad it is, by the bands of the profile."
        severity = StateSetMetricFamily(name, text, labels=["target"])
        severity.add_metric([self._target.name], _states(Severity, assessment.severity))
        yield severity
        labels = ["target", "band", "severity"]
        bands = StateSetMetricFamily(f"{_PREFIX}band", "Where each band stands.", labels=labels)
        for finding in assessment.findings:
            labelled = [self._target.name, finding.band, finding.severity]
            bands.add_metric(labelled, _states(Standing, finding.standing))
        yield bands

    def _family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=["target", *labels])

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = self._family(name, text)
        family.add_metric([self._target.name], value)
        return family

    def _counter(self, name: str, text: str, value: int) -> Metric:
        family = CounterMetricFamily(f"{_PREFIX}{name}", text, labels=["target"])
        family.add_metric([self._target.name], value)
        return family


def _states(every: Iterable[Severity] | Iterable[Standing], held: str) -> dict[str, bool]:
    return {str(one): one == held for one in every}


_Probes = Mapping[str, Probe]
_Labelled = Iterator[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class _Figure:
    """A metric, and how it is read from the probes that have answered: each value with its labels."""

    name: str
    text: str
    read: Callable[[_Probes], _Labelled]
    labels: tuple[str, ...] = ()


def _value(name: str, unit: float = 1.0) -> Callable[[_Probes], _Labelled]:
    """Read the value of a probe, divided by `unit`."""

    def read(probes: _Probes) -> _Labelled:
        probe = probes.get(name)
        if probe is not None and probe.value is not None:
            yield (), probe.value / unit

    return read


def _requests(name: str) -> Callable[[_Probes], _Labelled]:
    def read(probes: _Probes) -> _Labelled:
        figures = probes[REQUESTS].figures if REQUESTS in probes else {}
        if name in figures:
            yield (), figures[name]

    return read


def _error_share(probes: _Probes) -> _Labelled:
    figures = probes[REQUESTS].figures if REQUESTS in probes else {}
    if figures.get("requests") and "errors" in figures:
        yield (), figures["errors"] / figures["requests"]


def _latency(probes: _Probes) -> _Labelled:
    figures = probes[REQUESTS].figures if REQUESTS in probes else {}
    for percentile in _PERCENTILES:
        if f"p{percentile}" in figures:
            yield (percentile,), figures[f"p{percentile}"] / 1000


def _slower(probes: _Probes) -> _Labelled:
    for name in (HEALTH, PAGE):
        if name in probes and RATIO in probes[name].figures:
            yield (name,), probes[name].figures[RATIO]


def _connections(probes: _Probes) -> _Labelled:
    for store, percent in (probes[CONNECTIONS].figures if CONNECTIONS in probes else {}).items():
        yield (store,), percent / 100


def _hits(probes: _Probes) -> _Labelled:
    for name, probe in probes.items():
        if name.startswith(VECTORS) and probe.value is not None:
            yield (name.removeprefix(VECTORS),), probe.value


_FIGURES = (
    _Figure(
        "requests", "Requests of users in the last beat, or as Prometheus has it.", _requests("requests")
    ),
    _Figure("request_errors", "Those that the application failed to answer.", _requests("errors")),
    _Figure("request_errors_ratio", "Their share.", _error_share),
    _Figure("log_ins", "Log-ins in the last beat.", _requests("log_ins")),
    _Figure("failed_log_ins", "Those that failed.", _requests("failed_log_ins")),
    _Figure("request_latency_seconds", "Latency of requests.", _latency, ("percentile",)),
    _Figure("health_latency_seconds", "Seconds of the health endpoint.", _value(HEALTH, 1000)),
    _Figure("page_latency_seconds", "Seconds of the first page.", _value(PAGE, 1000)),
    _Figure("latency_baseline_ratio", "As many times as long as at the baseline.", _slower, ("probe",)),
    _Figure("records_lost", "Records of the baseline that are not there any more.", _value(RECORDS)),
    _Figure("containers_unwell", "Containers that are missing or not well.", _value(CONTAINERS)),
    _Figure("memory_used_ratio", "Of its limit, of the container with most.", _value(MEMORY, 100)),
    _Figure("disk_free_ratio", "Free space, where least is.", _value(DISK, 100)),
    _Figure("connections_used_ratio", "Of those that the store allows.", _connections, ("store",)),
    _Figure("consumer_lag_records", "Records that the last consumer group has to read.", _value(LAG)),
    _Figure("vector_search_hits", "Hits of a search for a vector that is there.", _hits, ("store",)),
)
