"""What Prometheus scrapes, read by its own parser; what is unknown never reads as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollproof.incident.samples import ProbeAnswer, Sample, SampleWriter, samples_path
from rollproof.incident.severity import BandState, Severity
from rollproof.monitoring.monitor_metrics import MonitorMetrics
from rollproof.profile.profile import Target
from tests.unit.made_samples import BEAT, requests, samples, value


@dataclass(frozen=True)
class Watched:
    """A target whose samples are written and shown as a monitor does it."""

    target: Target
    metrics: MonitorMetrics
    registry: CollectorRegistry

    def show(self, shown: Sequence[Sample]) -> None:
        path = samples_path(self.target)
        with closing(SampleWriter(path)) as writer:
            for sample in shown:
                writer.write(sample)
                self.metrics.show(sample)

    def all(self, name: str, **labels: str) -> list[float]:
        text = generate_latest(self.registry).decode()
        found = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return [one.value for one in found if one.name == name and labels.items() <= one.labels.items()]

    def one(self, name: str, **labels: str) -> float:
        (number,) = self.all(name, **labels)
        return number


@pytest.fixture
def watched(target: Target) -> Watched:
    metrics, registry = MonitorMetrics(target), CollectorRegistry()
    registry.register(metrics)
    return Watched(target, metrics, registry)


def _samples(count: int = 1, **probes: ProbeAnswer) -> list[Sample]:
    return samples(count, lambda _: probes, target="sandbox")


def test_what_is_unknown_is_no_number_and_its_figures_are_not_there(watched: Watched) -> None:
    unknown = value(40, ok=None)
    probes = {"memory": unknown, "requests": replace(requests(), ok=None), "store redis": unknown}
    watched.show(_samples(1, **probes, page=value(3200, ok=False)))
    for probe in probes:
        assert math.isnan(watched.one("rollproof_probe_ok", probe=probe))
    assert watched.one("rollproof_probe_ok", probe="page") == 0
    assert watched.one("rollproof_probe_value", kind="page") == 3200  # it is wrong, and known
    assert not watched.all("rollproof_probe_value", kind="memory")
    assert not watched.all("rollproof_probe_figure", kind="requests")
    assert watched.one("rollproof_probes", state="unknown") == len(probes)
    assert watched.one("rollproof_probes", state="wrong") == 1


@pytest.mark.parametrize("seconds", [3 * BEAT, -3 * BEAT])
def test_a_sample_that_is_not_of_now_says_nothing(watched: Watched, seconds: float) -> None:
    (sample,) = _samples()
    moved = replace(sample.at, since_boot=sample.at.since_boot - seconds)
    watched.show([replace(sample, at=moved)])
    assert all(math.isnan(number) for number in watched.all("rollproof_probe_ok"))
    assert len(watched.all("rollproof_probe_ok")) == len(sample.probes)
    assert watched.one("rollproof_probes", state="unknown") == len(sample.probes)
    assert not watched.all("rollproof_probe_value")
    if seconds > 0:
        assert watched.one("rollproof_severity", rollproof_severity="unknown") == 1
        assert watched.one("rollproof_severity", rollproof_severity="healthy") == 0


def test_severity_is_a_set_of_states_and_so_is_each_band(watched: Watched) -> None:
    watched.show(_samples(3, health=value(20, ok=False)))
    for severity in Severity:
        held = watched.one("rollproof_severity", rollproof_severity=severity)
        assert held == (severity is Severity.CRITICAL)
    health = {
        state: watched.one("rollproof_band", band="health", severity="critical", rollproof_band=state)
        for state in BandState
    }
    assert health == {state: state is BandState.MET for state in BandState}
    # The same name of two severities is two bands.
    assert watched.one("rollproof_band", band="errors", severity="non-critical", rollproof_band="clear") == 1
    assert watched.one("rollproof_band", band="errors", severity="critical", rollproof_band="clear") == 1


def test_samples_that_are_damaged_make_severity_unknown_and_no_scrape_fail(watched: Watched) -> None:
    watched.show(_samples(2))
    assert watched.one("rollproof_severity", rollproof_severity="healthy") == 1
    with samples_path(watched.target).open("ab") as file:
        file.write(b"garbage\n")
    assert watched.one("rollproof_severity", rollproof_severity="unknown") == 1
    assert watched.one("rollproof_severity", rollproof_severity="healthy") == 0
    assert watched.one("rollproof_probe_ok", probe="health") == 1
