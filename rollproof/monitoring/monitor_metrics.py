"""A monitor's samples, as Prometheus scrapes them: unknown values have no number, and never look well.

Threads of their own answer: a scraper never delays the monitor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rollproof.errors import Problem, UsageProblem
from rollproof.incident.samples import Sample
from rollproof.incident.severity import (
    Assessment,
    BandState,
    Severity,
    assess_now,
    is_monitored,
    monitored_samples,
)
from rollproof.profile.profile import Target

_PREFIX = "rollproof_"
_ADDRESS = "127.0.0.1"
_Labelled = Iterable[tuple[tuple[str, ...], float]]


class MonitorMetrics(Collector):
    """Builds the metrics of one monitor at each scrape from its last sample.

    A sample older than two beats is worth nothing, as for `assess`: then the state of every probe is unknown.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        # Replaced in one assignment: a scrape meanwhile sees the old state or the new one, never a part.
        self._seen: tuple[Sample | None, int, int] = (None, 0, 0)

    def show(self, sample: Sample) -> None:
        """Take the newest sample, without waiting for a scraper."""
        _, beats, missed = self._seen
        self._seen = sample, beats + 1, missed + sample.missed

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        sample, beats, missed = self._seen
        at = 0.0 if sample is None else datetime.fromisoformat(sample.at.wall).timestamp()
        beat = self._target.premigration.monitoring.beat_seconds
        last = "When the last sample came, in Unix time; 0: none."
        yield self._one("monitor_beat_seconds", "Seconds from one beat to the next, as configured.", beat)
        yield self._one("monitor_last_sample_timestamp_seconds", last, at)
        yield self._one("monitor_beats", "Beats at which there was a sample.", beats, CounterMetricFamily)
        yield self._one("monitor_missed_beats", "Beats at which there was none.", missed, CounterMetricFamily)
        if sample is not None:
            late = "Seconds that the last sample was late."
            yield self._one("monitor_late_seconds", late, sample.late)
            yield from self._of_probes(sample, fresh=is_monitored(self._target, (sample,)))
            yield from self._of_severity()

    def _of_probes(self, sample: Sample, *, fresh: bool) -> Iterator[Metric]:
        """Yield what each probe said; the figures of one without an answer are left out."""
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
        if not fresh:
            return
        answered = [probe for probe in sample.probes.values() if probe.ok is not None]
        values = (((one.kind, one.store), one.value) for one in answered if one.value is not None)
        text = "Its figure, in its own unit: milliseconds of health and page, percent, numbers."
        yield self._family("probe_value", text, values, "kind", "store")
        figures = (((one.kind, name), figure) for one in answered for name, figure in one.figures.items())
        text = "More of its figures: numbers of requests, milliseconds of them, ratio to the baseline."
        yield self._family("probe_figure", text, figures, "kind", "figure")

    def _of_severity(self) -> Iterator[Metric]:
        """Yield the severity: the result of `assess` now, by the same samples."""
        try:
            assessment = assess_now(self._target, monitored_samples(self._target))
        except Problem:
            # Unknown, and a metric has no words for the reason; `assess` gives it.
            assessment = Assessment(Severity.UNKNOWN, ())
        text = "How bad it is, by the bands of the profile."
        severity = StateSetMetricFamily(f"{_PREFIX}severity", text, labels=["target"])
        severity.add_metric([self._target.name], _states(Severity, assessment.severity))
        yield severity
        labels = ["target", "band", "severity"]
        bands = StateSetMetricFamily(f"{_PREFIX}band", "Where each band stands.", labels=labels)
        for one in assessment.findings:
            bands.add_metric([self._target.name, one.band, one.severity], _states(BandState, one.state))
        yield bands

    def _family(self, name: str, text: str, values: _Labelled, *labels: str) -> Metric:
        family = GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=["target", *labels])
        for label, value in values:
            family.add_metric([self._target.name, *label], value)
        return family

    def _one(
        self,
        name: str,
        text: str,
        value: float,
        kind: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
    ) -> Metric:
        family = kind(f"{_PREFIX}{name}", text, labels=["target"])
        family.add_metric([self._target.name], value)
        return family


def _states(every: Iterable[Severity] | Iterable[BandState], held: str) -> dict[str, bool]:
    return {str(one): one == held for one in every}


@contextmanager
def scraped(collector: Collector, port: int) -> Iterator[None]:
    """Let `http://127.0.0.1:port/metrics` be scraped while the body runs.

    Raises:
        UsageProblem: the port is in use, or not for this user.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, _ADDRESS, registry)
    except OSError as error:
        raise UsageProblem.of_file(
            f"{_ADDRESS} port {port}",
            error,
            what="port for the metrics of the monitor",
            expected="one that is free",
            hint="name another one by --prometheus-port; ss -ltnp says who has that one",
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
