"""A monitor's samples, as Prometheus scrapes them: unknown values have no number, and never look well.

Threads of their own answer: a scraper never delays the monitor.
"""

from __future__ import annotations

import math
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
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
        """Yield the figures of the probes that have answered; other probes' figures are left out."""
        probes = {name: probe for name, probe in sample.probes.items() if probe.ok is not None}
        known = replace(sample, probes=probes)
        for figure in _FIGURES:
            family = self._family(figure.name, figure.text, *figure.labels)
            for label, value in figure.read(known):
                family.add_metric([self._target.name, *label], value)
            if family.samples:
                yield family

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


_Labelled = Iterator[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class _Figure:
    """A metric, and its function that reads it from a sample's answers: values with labels."""

    name: str
    text: str
    read: Callable[[Sample], _Labelled]
    labels: tuple[str, ...] = ()


def _value(kind: ProbeKind, unit: float = 1.0) -> Callable[[Sample], _Labelled]:
    """Read the value of a probe, divided by `unit`."""

    def read(known: Sample) -> _Labelled:
        probe = known.one(kind)
        if probe is not None and probe.value is not None:
            yield (), probe.value / unit

    return read


def _figures(known: Sample, kind: ProbeKind) -> Mapping[str, float]:
    probe = known.one(kind)
    return {} if probe is None else probe.figures


def _requests(name: str) -> Callable[[Sample], _Labelled]:
    def read(known: Sample) -> _Labelled:
        figures = _figures(known, ProbeKind.REQUESTS)
        if name in figures:
            yield (), figures[name]

    return read


def _error_share(known: Sample) -> _Labelled:
    figures = _figures(known, ProbeKind.REQUESTS)
    if figures.get("requests") and "errors" in figures:
        yield (), figures["errors"] / figures["requests"]


def _latency(known: Sample) -> _Labelled:
    figures = _figures(known, ProbeKind.REQUESTS)
    for percentile in PERCENTILES:
        if f"p{percentile}" in figures:
            yield (str(percentile),), figures[f"p{percentile}"] / 1000


def _slower(known: Sample) -> _Labelled:
    for kind in (ProbeKind.HEALTH, ProbeKind.PAGE):
        figures = _figures(known, kind)
        if RATIO in figures:
            yield (kind.value,), figures[RATIO]


def _connections(known: Sample) -> _Labelled:
    for store, percent in _figures(known, ProbeKind.CONNECTIONS).items():
        yield (store,), percent / 100


def _hits(known: Sample) -> _Labelled:
    for probe in known.of(ProbeKind.VECTORS):
        if probe.value is not None:
            yield (probe.store,), probe.value


_FIGURES = (
    _Figure(
        "requests", "Requests of users in the last beat, or as Prometheus has it.", _requests("requests")
    ),
    _Figure("request_errors", "Those that the application failed to answer.", _requests("errors")),
    _Figure("request_errors_ratio", "Their share.", _error_share),
    _Figure("log_ins", "Log-ins in the last beat.", _requests("log_ins")),
    _Figure("failed_log_ins", "Those that failed.", _requests("failed_log_ins")),
    _Figure("request_latency_seconds", "Latency of requests.", _latency, ("percentile",)),
    _Figure("health_latency_seconds", "Seconds of the health endpoint.", _value(ProbeKind.HEALTH, 1000)),
    _Figure("page_latency_seconds", "Seconds of the first page.", _value(ProbeKind.PAGE, 1000)),
    _Figure("latency_baseline_ratio", "As many times as long as at the baseline.", _slower, ("probe",)),
    _Figure(
        "records_lost", "Records of the baseline that are not there any more.", _value(ProbeKind.RECORDS)
    ),
    _Figure("containers_unwell", "Containers that are missing or not well.", _value(ProbeKind.CONTAINERS)),
    _Figure("memory_used_ratio", "Of its limit, of the container with most.", _value(ProbeKind.MEMORY, 100)),
    _Figure("disk_free_ratio", "Free space, where least is.", _value(ProbeKind.DISK, 100)),
    _Figure("connections_used_ratio", "Of those that the store allows.", _connections, ("store",)),
    _Figure(
        "consumer_lag_records", "Records that the last consumer group has to read.", _value(ProbeKind.LAG)
    ),
    _Figure("vector_search_hits", "Hits of a search for a vector that is there.", _hits, ("store",)),
)


# A scraper may neither send nor take anything for this long.
_SECONDS = 10.0
# Scrapers that are served at the same time; any other is turned away, not queued.
_MOST = 16

_Request = socket.socket | tuple[bytes, socket.socket]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's own name
        """Log nothing: the terminal is the monitor's."""


class _Server(ThreadingWSGIServer):
    """A server with few threads, which end with the process whatever they wait for."""

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_MOST)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; the library's own version also asks a name server, which may take its time."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - the library's
        """Serve the request in its own thread, if one is left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Serve the request, and free the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: _Request, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Ignore a scraper that hangs or has gone: only the scraper misses something."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def scraped(collector: Collector, address: str, port: int) -> Iterator[None]:
    """Let `http://address:port/metrics` be scraped while the body runs.

    Raises:
        UsageProblem: the port is in use, or not for this user; or the address is not on this machine.
    """
    registry = CollectorRegistry()
    registry.register(collector)

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    try:
        server = make_server(address, port, make_wsgi_app(registry), Server, _Handler)
    except OSError as error:
        raise UsageProblem(
            what="port for the metrics of the monitor",
            expected="one that is free, on an address of this machine",
            observed=reason_of(error),
            source=f"{address} port {port}",
            hint="name others: --prometheus-port and --prometheus-address; ss -ltnp says who has that one",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_SECONDS)
