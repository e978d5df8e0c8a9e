"""The access log: what a line says, what lines come to, and that the probe counts each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from rollproof.engines.engine import ContainerEngine, RunningContainer
from rollproof.errors import Unverifiable
from rollproof.monitoring.probes import application_probes
from rollproof.monitoring.probes.application_probes import LogProbe, Tally, stamped
from rollproof.profile.access_log import Requests
from rollproof.system.http import AGENT

NGINX = Requests(service="nginx")
START = 1_795_640_400  # 2026-11-25 21:00:00 UTC


def line(
    path: str = "/api/v1/base/knowledge_bases",
    status: int | str = 200,
    seconds: str | None = "0.012",
    *,
    method: str = "GET",
    agent: str = "Mozilla/5.0 (X11)",
) -> str:
    """Return a line as nginx writes it."""
    timed = f" {seconds}" if seconds is not None else ""
    request = f"{method} {path} HTTP/1.1"
    return f'172.18.0.1 - - [25/Nov/2026:21:00:00 +0000] "{request}" {status} 31 "-" "{agent}"{timed}'


def tally(*lines: str, source: Requests = NGINX) -> Tally:
    found = Tally(source)
    for one in lines:
        found.add(one)
    return found


def log(*lines: tuple[float, str]) -> str:
    """Return what an engine says of lines, each so many seconds after the start."""
    return "".join(f"2026-11-25T21:00:{seconds:012.9f}Z {text}\n" for seconds, text in lines)


LOG_IN = "/api/v1/auth/login"


@pytest.mark.parametrize(
    ("text", "log_ins", "failed"),
    [
        (line(LOG_IN, method="POST"), 1, 0),
        (line(LOG_IN, 401, method="POST"), 1, 1),
        (line(f"{LOG_IN}?next=/", 500, method="POST"), 1, 1),
        (line(LOG_IN, 405), 0, 0),
        (line(LOG_IN, 204, method="OPTIONS"), 0, 0),
        (line("/api/v1/auth/logout", 401, method="POST"), 0, 0),
    ],
)
def test_log_ins_are_told_by_method_and_path(text: str, log_ins: int, failed: int) -> None:
    found = tally(text)
    assert (found.log_ins, found.failed_log_ins) == (log_ins, failed)


def test_streams_are_left_out_of_latency_and_of_nothing_else() -> None:
    found = tally(line("/api/v1/sse/chat?x=1", 502, "61.2"), line(seconds="0.020"))
    assert found.figures() == {
        "requests": 2,
        "errors": 1,
        "log_ins": 0,
        "failed_log_ins": 0,
        "p95": 20.0,
    }
    assert tally(*[line()] * 19, line(seconds="1.5")).figures()["p95"] == 12.0
    assert tally(line(), line(seconds="1.5")).figures()["p95"] == 1500.0
    # Of streams alone none was slow.
    assert tally(line("/api/v1/sse/chat", seconds="61.2")).figures()["p95"] == 0.0


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        *(("-", 1), ("000", 1), ("502, 200", 0), ("200, 502", 1), ("502, -", 1), ("-, 200", 0)),
        *(("- , 404", 0), ("502, 502 : 200", 0), ("200 : -", 1), ("499", 0)),
    ],
)
def test_what_no_upstream_answered_is_an_error_and_else_the_last_ones_answer_counts(
    status: str, errors: int
) -> None:
    found = tally(line(LOG_IN, status, "-", method="POST"))
    assert (found.requests, found.errors, found.unmatched) == (1, errors, 0)
    assert (found.log_ins, found.failed_log_ins) == (1, int(errors or "404" in status or status == "499"))


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        *(("0.01, 0.02", 30.0), ("- , 0.3", 300.0), ("-, 0.3", 300.0), ("0.1, -", 100.0)),
        *(("0.001 : 0.002, 0.003", 6.0), ("2", 2000.0)),
    ],
)
def test_the_time_of_several_upstreams_is_that_of_one_after_the_other(
    seconds: str, milliseconds: float
) -> None:
    found = tally(line(seconds=seconds))
    assert (found.requests, found.untimed, found.unmatched) == (1, 0, 0)
    assert found.figures()["p95"] == pytest.approx(milliseconds)


@pytest.mark.parametrize("seconds", ["-", "-, -", "- : -", None])
def test_an_unknown_time_is_left_out_of_latency_and_of_nothing_else(seconds: str | None) -> None:
    found = tally(line(status=502, seconds=seconds), line(seconds="0.020"))
    figures = found.figures()
    assert (figures["requests"], figures["errors"], figures["p95"]) == (2, 1, 20.0)
    assert "1 of them without a time" in str(found)
    # Of such requests alone nobody knows how slow they were, whatever a stream took.
    found = tally(line(status=502, seconds=seconds), line("/api/v1/sse/chat", seconds="61"))
    assert found.figures() == {"requests": 2, "errors": 1, "log_ins": 0, "failed_log_ins": 0}


def test_requests_of_this_suite_are_no_users() -> None:
    found = tally(line(status=503, agent=AGENT), line())
    assert (found.requests, found.errors, found.others, found.asked) == (1, 0, 1, 2)


@pytest.mark.parametrize(
    ("text", "unmatched"),
    [
        ("2026/11/25 21:00:00 [error] 29#29: *7 connect() failed (111: Connection refused)", 0),
        ("", 0),
        ("/docker-entrypoint.sh: Configuration complete; ready for start up", 1),
        ('{"status": 200, "path": "/"}', 1),
    ],
)
def test_what_is_no_request_is_a_notice_or_said(text: str, unmatched: int) -> None:
    found = tally(text)
    assert (found.requests, found.unmatched) == (0, unmatched)
    assert ("1 lines that are of none" in str(found)) is bool(unmatched)


def test_stamps_are_exact_and_a_line_may_hold_anything() -> None:
    found = list(stamped(log((0.0, "a b"), (0.000001, "c\x0bd\u2028"), (1.5, ""))))
    assert found == [(START, "a b"), (START + 0.000001, "c\x0bd\u2028"), (START + 1.5, "")]
    assert list(stamped("")) == []
    assert list(stamped("2026-11-25T23:00:00.5+02:00 x\n")) == [(START + 0.5, "x")]


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


def test_a_log_without_even_our_own_requests_is_none() -> None:
    engine = LogEngine()
    probe = begun(engine)
    for _ in range(application_probes.SILENT - 1):
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
    monkeypatch.setattr(application_probes, "FEW", 3)
    monkeypatch.setattr(application_probes, "MANY", 8)
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
