"""Reads an access log piece by piece: each line is counted once, by the stamp that the engine gave it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from math import ceil

from fixtures.access_log import Requests
from fixtures.errors import Unverifiable
from fixtures.http import AGENT

PERCENTILES = (50, 95, 99)
FIRST_ERROR = 500
FIRST_FAILED_LOG_IN = 400
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?(.*)", re.DOTALL)
_SECOND = 10**9
# Times as floats are exact to less than that: what is asked for begins before the cursor, never after it.
_MICROSECOND = 1000

Line = tuple[int, str]
"""A line and its stamp, in nanoseconds since 1970."""


def stamped(log: str) -> Iterator[Line]:
    """Yield the lines of what an engine says with its stamps.

    Raises:
        Unverifiable: a line has none.
    """
    # Not splitlines(): a line may hold what that takes for an end.
    for line in log.removesuffix("\n").split("\n") if log else ():
        match = _STAMP.fullmatch(line.removesuffix("\r"))
        if match is None:
            raise Unverifiable(
                what="log of requests",
                expected="lines that begin with the engine's stamp",
                observed=f"one of {len(line)} characters that does not",
                source="container engine",
                hint="see that the engine's log driver can be read: docker logs --timestamps",
            )
        whole, part, zone, text = match.groups()
        second = int(datetime.fromisoformat(whole + zone).timestamp())
        yield second * _SECOND + int((part or "").ljust(9, "0")), text


@dataclass(slots=True)
class Cursor:
    """How far a log has been read: the stamp of the last line, and how many lines have that one."""

    stamp: int = 0
    lines: int = 0

    @property
    def since(self) -> float:
        """From when to ask, in seconds since 1970: a little before the last line, which so comes again."""
        return max(0, self.stamp - _MICROSECOND) // _MICROSECOND / 10**6

    def meets(self, lines: Iterable[Line], most: int) -> bool:
        """Tell whether `lines`, of which `most` were asked for, begin where this ends, or before that."""
        stamps = [stamp for stamp, _ in lines]
        if self.stamp:
            return any(stamp <= self.stamp for stamp in stamps)
        return len(stamps) < most

    def new(self, lines: Iterable[Line]) -> list[str]:
        """Return those of `lines` that come after this, and move it to their end."""
        found, again = [], self.lines
        last = Cursor(self.stamp, 0)
        for stamp, text in lines:
            if stamp < self.stamp:
                continue
            if stamp > last.stamp:
                last = Cursor(stamp, 0)
            last.lines += stamp == last.stamp
            if stamp == self.stamp and again:
                again -= 1
                continue
            found.append(text)
        # What is gone from the log, by rotation, has been counted all the same.
        self.lines = last.lines if last.stamp > self.stamp else max(self.lines, last.lines)
        self.stamp = last.stamp
        return found


@dataclass(slots=True)
class Tally:
    """What some lines of a log come to.

    `unmatched` are those that are neither of a request nor a notice, `others` the requests of this suite,
    which are no user's. `untimed` are requests whose lines do not say how long they took.
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
        match = re.search(self.source.pattern, line)
        if match is None:
            self.unmatched += line.strip() != "" and re.search(self.source.notices, line) is None
            return
        if AGENT in line:
            self.others += 1
            return
        groups = match.groupdict()
        status, path = int(groups["status"]), (groups["path"] or "").partition("?")[0]
        self.requests += 1
        self.errors += status >= FIRST_ERROR
        if groups["method"] == "POST" and _is_any(path, self.source.log_in):
            self.log_ins += 1
            self.failed_log_ins += status >= FIRST_FAILED_LOG_IN
        if _is_any(path, self.source.slow):
            return
        if groups.get("seconds") is None:
            self.untimed += 1
        else:
            self.milliseconds.append(1000 * float(groups["seconds"]))

    @property
    def asked(self) -> int:
        """How many requests there were, this suite's included."""
        return self.requests + self.others

    def figures(self) -> dict[str, float]:
        """Return the figures. Of latency there are none where no request was timed, or not each of them."""
        found = {
            "requests": self.requests,
            "errors": self.errors,
            "log_ins": self.log_ins,
            "failed_log_ins": self.failed_log_ins,
            "unmatched": self.unmatched,
        }
        if not self.requests or self.untimed:
            return dict(found)
        # Where all of them were streamed, none took long.
        times = sorted(self.milliseconds) or [0.0]
        return {**found, **{f"p{percent}": percentile(times, percent) for percent in PERCENTILES}}

    def __str__(self) -> str:
        """Return it in words."""
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


def percentile(ordered: list[float], percent: int) -> float:
    """Return the least of `ordered`, smallest first, that `percent` of them are not above."""
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def _is_any(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
