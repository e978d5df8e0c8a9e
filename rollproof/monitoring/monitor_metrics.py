"""A monitor's samples, as Prometheus scrapes them: unknown values have no number, and never look well.

Threads of their own answer: a scraper never delays the monitor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rollproof.errors import Problem, UsageProblem, reason_of
from rollproof.monitoring.probes.request_probe import PERCENTILES
from rollproof.monitoring.probes.web_probes import RATIO
from rollproof.monitoring.samples import ProbeKind, Sample
from rollproof.monitoring.severity import (
    Assessment,
    Severity,
    Standing,
    assess_now,
    is_monitored,
    monitored_samples,
)
from rollproof.profile.profile import Target

_PREFIX = "rollproof_"
# Figures of the probe of requests, and the texts of their metrics.
_REQUESTS = {
    "requests": ("requests", "Requests of users in the last beat, or as Prometheus has it."),
    "errors": ("request_errors", "Those that the application failed to answer."),
    "log_ins": ("log_ins", "Log-ins in the last beat."),
    "failed_log_ins": ("failed_log_ins", "Those that failed."),
}
# Metrics of a probe's value, which is divided by a number to come to a base unit.
_VALUES = {
    ProbeKind.HEALTH: ("health_latency_seconds", "Seconds of the health endpoint.", 1000),
    ProbeKind.PAGE: ("page_latency_seconds", "Seconds of the first page.", 1000),
    ProbeKind.RECORDS: ("records_lost", "Records of the baseline that are not there any more.", 1),
    ProbeKind.CONTAINERS: ("containers_unwell", "Containers that are missing or not well.", 1),
    ProbeKind.MEMORY: ("memory_used_ratio", "Of its limit, of the container with most.", 100),
    ProbeKind.DISK: ("disk_free_ratio", "Free space, where least is.", 100),
    ProbeKind.LAG: ("consumer_lag_records", "Records that the last consumer group has to read.", 1),
}
_Labelled = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The monitor's last sample and its totals so far."""

    sample: Sample | None = None
    beats: int = 0
    missed: int = 0


class MonitorMetrics(Collector):
    """Builds the metrics of one monitor at each scrape from one sample, at whatever time it is scraped.

    A sample older than two beats is worth nothing, as for `assess`: then the state of every probe is unknown.
    """

    def __init__(self, target: Target) -> None:
        """Begin without a sample."""
        self._target = target
        self._seen = _Seen()

    def show(self, sample: Sample) -> None:
        """Take the newest sample, without waiting for a scraper."""
        seen = self._seen
        # In one assignment: a scrape meanwhile sees the old state or the new one, never a part.
        self._seen = _Seen(sample, seen.beats + 1, seen.missed + sample.missed)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        seen = self._seen
        sample = seen.sample
        at = 0.0 if sample is None else datetime.fromisoformat(sample.at.wall).timestamp()
        beat = self._target.premigration.monitoring.beat_seconds
        yield self._gauge("monitor_beat_seconds", "Seconds from one beat to the next, as configured.", beat)
        yield self._gauge(
            "monitor_last_sample_timestamp_seconds", "When the last sample came, in Unix time; 0: none.", at
        )
        yield self._counter("monitor_beats", "Beats at which there was a sample.", seen.beats)
        yield self._counter("monitor_missed_beats", "Beats at which there was none.", seen.missed)
        if sample is None:
            return
        yield self._gauge("monitor_late_seconds", "Seconds that the last sample was late.", sample.late)
        fresh = is_monitored(self._target, (sample,))
        yield from self._of_probes(sample, fresh=fresh)
        if fresh:
            yield from self._of_figures(sample)
        yield from self._of_severity()

    def _of_probes(self, sample: Sample, *, fresh: bool) -> Iterator[Metric]:
        known = {name: probe.ok if fresh else None for name, probe in sample.probes.items()}
        yield self._family(
            "probe_ok",
            "1: well. 0: not well. NaN: nobody knows.",
            (((name,), math.nan if ok is None else float(ok)) for name, ok in known.items()),
            "probe",
        )
        seconds = (((name,), probe.seconds) for name, probe in sample.probes.items())
        yield self._family("probe_duration_seconds", "Seconds that its last answer took.", seconds, "probe")
        states = {"ok": True, "wrong": False, "unknown": None}
        count = (((state,), float([*known.values()].count(ok))) for state, ok in states.items())
        yield self._family("probes", "Probes that are well, not well, or unknown.", count, "state")

    def _of_figures(self, sample: Sample) -> Iterator[Metric]:
        """Yield the figures of the probes that have answered; other probes' figures are left out."""
        for kind, (name, text, unit) in _VALUES.items():
            probe = sample.answered(kind)
            if probe is not None and probe.value is not None:
                yield self._gauge(name, text, probe.value / unit)
        slower = [
            ((kind.value,), probe.figures[RATIO])
            for kind in (ProbeKind.HEALTH, ProbeKind.PAGE)
            if (probe := sample.answered(kind)) is not None and RATIO in probe.figures
        ]
        if slower:
            yield self._family(
                "latency_baseline_ratio", "As many times as long as at the baseline.", slower, "probe"
            )
        if requests := sample.answered(ProbeKind.REQUESTS):
            yield from self._of_requests(requests.figures)
        if connections := sample.answered(ProbeKind.CONNECTIONS):
            used = (((store,), percent / 100) for store, percent in connections.figures.items())
            yield self._family("connections_used_ratio", "Of those that the store allows.", used, "store")
        vectors = [probe for probe in sample.of(ProbeKind.VECTORS) if probe.ok is not None]
        hits = [((probe.store,), probe.value) for probe in vectors if probe.value is not None]
        if hits:
            yield self._family(
                "vector_search_hits", "Hits of a search for a vector that is there.", hits, "store"
            )

    def _of_requests(self, figures: Mapping[str, float]) -> Iterator[Metric]:
        for figure, (name, text) in _REQUESTS.items():
            if figure in figures:
                yield self._gauge(name, text, figures[figure])
        if figures.get("requests") and "errors" in figures:
            share = figures["errors"] / figures["requests"]
            yield self._gauge("request_errors_ratio", "Their share.", share)
        times = [((str(one),), figures[f"p{one}"] / 1000) for one in PERCENTILES if f"p{one}" in figures]
        if times:
            yield self._family("request_latency_seconds", "Latency of requests.", times, "percentile")

    def _of_severity(self) -> Iterator[Metric]:
        """Yield the severity: the result of `assess` now, by the same samples."""
        try:
            assessment = assess_now(self._target, monitored_samples(self._target))
        except Problem:
            # Unknown, and a metric has no words for the reason; `assess` gives it.
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

    def _family(self, name: str, text: str, values: _Labelled, *labels: str) -> Metric:
        family = GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=["target", *labels])
        for label, value in values:
            family.add_metric([self._target.name, *label], value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        return self._family(name, text, [((), value)])

    def _counter(self, name: str, text: str, value: int) -> Metric:
        family = CounterMetricFamily(f"{_PREFIX}{name}", text, labels=["target"])
        family.add_metric([self._target.name], value)
        return family


def _states(every: Iterable[Severity] | Iterable[Standing], held: str) -> dict[str, bool]:
    return {str(one): one == held for one in every}


@contextmanager
def scraped(collector: Collector, address: str, port: int) -> Iterator[None]:
    """Let `http://address:port/metrics` be scraped while the body runs.

    Raises:
        UsageProblem: the port is in use, or not for this user; or the address is not on this machine.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise UsageProblem(
            what="port for the metrics of the monitor",
            expected="one that is free, on an address of this machine",
            observed=reason_of(error),
            source=f"{address} port {port}",
            hint="name others: --prometheus-port and --prometheus-address; ss -ltnp says who has that one",
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
