"""The access log: what a line says, what lines come to, and that each is counted once."""

from __future__ import annotations

import pytest

from rollproof.monitoring.probes.request_probe import Tally, stamped
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


@pytest.mark.parametrize(
    ("text", "requests", "errors"),
    [
        ('{"method":"GET","path":"/","status":"","seconds":""}', 1, 1),
        ('{"method":"GET","path":"/","status":"-","seconds":"-"}', 1, 1),
        ('{"method":"GET","path":"/","status":"502, 200","seconds":"0.01, 1.5e-05"}', 1, 0),
        ('{"method":"GET","path":"/","status":"0","seconds":".5"}', 1, 1),
        ('{"method":"GET","path":"/","status":"bad","seconds":"0.1"}', 1, 1),
        ('{"method":"GET","path":"/","status":"200, bad","seconds":"nan"}', 1, 1),
    ],
)
def test_another_pattern_finds_what_logs_write_and_what_is_none_of_it_is_said(
    text: str, requests: int, errors: int
) -> None:
    pattern = (
        r'"method":"(?P<method>\w+)","path":"(?P<path>[^"]*)","status":"(?P<status>[^"]*)"'
        r',"seconds":"(?P<seconds>[^"]*)"'
    )
    found = tally(text, source=Requests(service="nginx", pattern=pattern))
    assert (found.requests, found.errors, found.unmatched) == (requests, errors, 1 - requests)


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
