"""Users' requests to the application since the last beat, and their outcomes: from its access log."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rollproof.errors import Unverifiable
from rollproof.incident.samples import ProbeId, ProbeKind
from rollproof.monitoring.probes.probe import Probe, Reading
from rollproof.profile.access_log import Requests, searched
from rollproof.system.http import AGENT

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine

# nginx writes the upstreams that it asked one after the other: ``502, 200``, ``0.01, - : 0.3``.
_BETWEEN = re.compile(r"[,:]")
_SECONDS = re.compile(r"(?:\d{1,9}\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")
FIRST_ERROR = 500
FIRST_FAILED_LOG_IN = 400
# FEW lines are read from the log's end; only if all of them are new, MANY.
FEW, MANY = 2_000, 50_000
# After so many questions without a request, the log is taken for missing; a single one may fall between two.
SILENT = 3

Line = tuple[float, str]
"""The time of a line, in seconds since 1970, and its text."""


def stamped(log: str) -> Iterator[Line]:
    """Yield the lines of an engine's log with their times, such as ``2026-01-02T03:04:05.678Z text``."""
    # A line may hold characters at which splitlines() would split it.
    for line in log.removesuffix("\n").split("\n") if log else ():
        stamp, _, text = line.removesuffix("\r").partition(" ")
        yield datetime.fromisoformat(stamp).timestamp(), text


@dataclass(slots=True)
class Tally:
    """The figures counted from a log's lines.

    `unmatched` counts lines that are neither a request nor a notice. `others` counts this suite's own
    requests, which are left out of the users' figures. `untimed` counts requests without a known time.
    """

    source: Requests
    requests: int = 0
    errors: int = 0
    log_ins: int = 0
    failed_log_ins: int = 0
    unmatched: int = 0
    others: int = 0
    untimed: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Count a line."""
        match = searched(self.source.pattern, line)
        groups = match.groupdict() if match is not None else {}
        if match is None:
            self.unmatched += line.strip() != "" and searched(self.source.notices, line) is None
            return
        if AGENT in line:
            self.others += 1
            return
        # Users have what the last upstream answered. What was not answered at all is an error.
        last = _BETWEEN.split(groups["status"] or "")[-1].strip()
        path = (groups["path"] or "").partition("?")[0]
        status = (int(last) if last.isdecimal() else 0) or FIRST_ERROR
        self.requests += 1
        self.errors += status >= FIRST_ERROR
        if groups["method"] == "POST" and _is_any(path, self.source.log_in):
            self.log_ins += 1
            self.failed_log_ins += status >= FIRST_FAILED_LOG_IN
        if _is_any(path, self.source.slow):
            return
        if known := [float(seconds) for seconds in _SECONDS.findall(groups.get("seconds") or "")]:
            # One upstream after the other.
            self.milliseconds.append(1000 * sum(known))
        else:
            self.untimed += 1

    @property
    def asked(self) -> int:
        """The number of requests, including this suite's."""
        return self.requests + self.others

    def figures(self) -> dict[str, float]:
        """Return the figures; latencies are those of the requests with a known time, if there are any.

        Streamed answers are left out of latency; if all were streamed, it is 0.
        """
        found: dict[str, float] = {
            "requests": self.requests,
            "errors": self.errors,
            "log_ins": self.log_ins,
            "failed_log_ins": self.failed_log_ins,
        }
        if not self.requests or (self.untimed and not self.milliseconds):
            return found
        times = sorted(self.milliseconds) or [0.0]
        # The smallest time that 95 % of the requests do not exceed.
        return {**found, "p95": times[math.ceil(0.95 * len(times)) - 1]}

    def __str__(self) -> str:
        """Return the tally in words."""
        said = [f"{self.requests} requests", f"{self.errors} errors"]
        if self.failed_log_ins:
            said.append(f"{self.failed_log_ins} of {self.log_ins} log-ins failed")
        if (p95 := self.figures().get("p95")) is not None:
            said.append(f"p95 {p95:.0f} ms")
        if self.untimed:
            said.append(f"{self.untimed} of them without a time")
        if self.unmatched:
            said.append(f"{self.unmatched} lines that are of none")
        return ", ".join(said)


def _is_any(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


class LogProbe(Probe):
    """A service's access log: the lines its containers have logged since the last question."""

    id = ProbeId(ProbeKind.REQUESTS)

    def __init__(self, source: Requests | None, limit: float, engine: ContainerEngine) -> None:
        """Ask nothing yet; from `limit` percent of errors on, a reading is bad. Without a source none is."""
        self._source = source
        self._limit = limit
        self._engine = engine
        self._read_to: dict[str, float] | None = None
        self._silent = 0

    def ask(self) -> Reading:
        """Count the new lines. The first question only finds the logs' ends, and raises `Unverifiable`."""
        source = self._source
        if source is None:
            raise self._unknown("application.requests in the profile", "none", "name the service that logs")
        running = self._engine.running()
        containers = [one.name for one in running if one.service == source.service and not one.one_off]
        if not containers:
            raise self._unknown("a container that runs", "none", "requests are logged there: start it")
        if self._read_to is None:
            self._read_to = {name: self._end(name) for name in containers}
            raise self._unknown("an earlier question", "the first one", "the next one counts from here")
        # A new container's log is read from its beginning. All logs are read before any is counted: counted
        # lines are not read again.
        logs = {name: self._lines_after(self._read_to.get(name, 0.0), name) for name in containers}
        tally = Tally(source)
        for name, lines in logs.items():
            for stamp, text in lines:
                self._read_to[name] = stamp
                tally.add(text)
        return self._reading(tally)

    def _reading(self, tally: Tally) -> Reading:
        if tally.unmatched and not tally.asked:
            raise self._unknown(
                "lines that application.requests.pattern matches",
                f"none among {tally.unmatched} lines",
                "correct that pattern: it has the groups status, path, method and, if need be, seconds",
            )
        self._silent = 0 if tally.asked else self._silent + 1
        if self._silent >= SILENT:
            # The monitor itself requests health and page at each beat.
            raise self._unknown(
                "lines of this monitor's own requests at least",
                f"none at {self._silent} questions",
                "see that it logs to its standard output, and that application.url leads through it",
            )
        ok = not tally.requests or 100 * tally.errors / tally.requests < self._limit
        return Reading(ok, str(tally), float(tally.requests), tally.figures())

    def _end(self, container: str) -> float:
        last = [stamp for stamp, _ in stamped(self._engine.logs(container, 1, since=0.0))]
        return last[0] if last else 0.0

    def _lines_after(self, end: float, container: str) -> list[Line]:
        lines: list[Line] = []
        for most in (FEW, MANY):
            # The line at `end` comes again.
            found = stamped(self._engine.logs(container, most, since=end))
            lines = [line for line in found if line[0] > end]
            if len(lines) < most:
                break
        return lines

    def _unknown(self, expected: str, observed: str, hint: str) -> Unverifiable:
        source = f"log of {self._source.service}" if self._source else "the profile"
        return Unverifiable(
            what="requests of users", expected=expected, observed=observed, source=source, hint=hint
        )
