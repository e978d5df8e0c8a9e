"""The probe of requests, by a log that is made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine, RunningContainer
from rollproof.errors import Unverifiable
from rollproof.monitoring.probes import request_probe
from rollproof.monitoring.probes.request_probe import LogProbe
from rollproof.profile.access_log import Requests
from rollproof.system.http import AGENT
from tests.unit.monitor.test_request_log import line, log

LIMIT = 10.0
OWN = line("/", agent=AGENT)


@dataclass
class LogEngine:
    """An engine that knows running containers and what they have logged, a line a second."""

    texts: dict[str, list[str]] = field(default_factory=lambda: {"nginx-1": [OWN]})
    service: str = "nginx"
    dead: set[str] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    broken: str = ""

    def running(self) -> Sequence[RunningContainer]:
        there = [RunningContainer(name, self.service, one_off=False) for name in self.texts]
        return [RunningContainer("x", "nginx", one_off=True), *(c for c in there if c.name not in self.dead)]

    def logs(self, container: str, most: int, since: float) -> str:
        self.asked.append(most)
        if container == self.broken:
            raise Unverifiable(what="log", expected="a", observed="b", source="c", hint="d")
        lines = [(float(number), text) for number, text in enumerate(self.texts[container])]
        return log(*(one for one in lines[-most:] if 1_795_640_400 + one[0] >= since))

    def add(self, *lines: str, to: str = "nginx-1") -> None:
        self.texts.setdefault(to, []).extend(lines)


def begun(engine: LogEngine, source: Requests | None = None) -> LogProbe:
    probe = LogProbe(source or Requests(service="nginx"), LIMIT, cast("ContainerEngine", engine))
    with pytest.raises(Unverifiable, match="observed the first one"):
        probe.ask()
    return probe


def test_what_was_logged_since_the_last_question_is_counted() -> None:
    engine = LogEngine()
    engine.add(line(status=500))
    probe = begun(engine)
    engine.add(OWN, line(), line(seconds="0.100"))
    reading = probe.ask()
    assert reading.ok
    assert (reading.value, reading.figures["requests"], reading.figures["errors"]) == (2.0, 2, 0)
    assert reading.text == "2 requests, 0 errors, p95 100 ms"
    engine.add(line("/api/v1/auth/login", 401, method="POST"))
    assert probe.ask().text == "1 requests, 0 errors, 1 of 1 log-ins failed, p95 12 ms"
    assert probe.ask().figures["requests"] == 0


def test_a_format_that_the_pattern_does_not_match_is_unknown() -> None:
    engine = LogEngine()
    probe = begun(engine)
    engine.add(*['{"status": 200}'] * 3)
    with pytest.raises(Unverifiable, match="none among 3 lines") as told:
        probe.ask()
    assert "application.requests.pattern" in str(told.value)
    engine.add('{"status": 200}', line())
    assert probe.ask().text == "1 requests, 0 errors, p95 12 ms, 1 lines that are of none"


def test_when_the_upstream_is_down_the_beat_is_counted() -> None:
    """Every line has a dash then, those of this monitor too."""
    engine = LogEngine()
    probe = begun(engine)
    engine.add(line("/", 502, "-", agent=AGENT), line(status=502, seconds="-"), line(status="-", seconds="-"))
    reading = probe.ask()
    assert (reading.ok, reading.figures["requests"], reading.figures["errors"]) == (False, 2, 2)
    assert "p95" not in reading.figures
    assert reading.text == "2 requests, 2 errors, 2 of them without a time"
    engine.add(line("/", "-", "-", agent=AGENT))
    assert probe.ask().ok


def test_a_log_without_even_our_own_requests_is_none() -> None:
    engine = LogEngine()
    probe = begun(engine)
    for _ in range(request_probe.SILENT - 1):
        assert probe.ask().figures["requests"] == 0
    with pytest.raises(Unverifiable, match="this monitor's own requests at least, observed none at 3"):
        probe.ask()
    engine.add(OWN)
    assert probe.ask().ok


def test_no_container_is_unknown_and_nothing_is_counted_twice_after_it() -> None:
    engine = LogEngine()
    engine.add(line(), to="nginx-2")
    probe = begun(engine)
    engine.dead = {"nginx-1", "nginx-2"}
    with pytest.raises(Unverifiable, match="expected a container that runs, observed none"):
        probe.ask()
    engine.dead = {"nginx-2"}
    assert probe.ask().figures["requests"] == 0
    engine.dead = set()
    engine.add(line(), to="nginx-2")
    assert probe.ask().figures["requests"] == 1


def test_few_lines_are_read_and_many_only_when_all_of_these_are_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_probe, "FEW", 3)
    monkeypatch.setattr(request_probe, "MANY", 8)
    engine = LogEngine()
    probe = begun(engine)
    engine.add(line(), line())
    assert probe.ask().figures["requests"] == 2
    assert engine.asked == [1, 3]
    engine.add(*[line()] * 5)
    reading = probe.ask()
    assert (reading.figures["requests"], engine.asked[2:]) == (5, [3, 8])
    engine.add(*[line()] * 20)
    assert probe.ask().figures["requests"] == 8


def test_without_a_source_requests_are_unknown() -> None:
    with pytest.raises(Unverifiable, match=r"expected application\.requests in the profile, observed none"):
        LogProbe(None, LIMIT, cast("ContainerEngine", LogEngine())).ask()


def test_it_is_not_well_from_the_share_of_errors_that_calls_for_a_person() -> None:
    engine = LogEngine()
    probe = begun(engine)
    engine.add(*[line()] * 9, line(status=502))
    assert not probe.ask().ok
    engine.add(*[line()] * 10, line(status=502))
    assert probe.ask().ok
