"""Probes of the application: users' requests by its access log, each function by the canary, its pages."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

import httpx2

from rollproof.application.canary import Canary, canary_in_use, longest_use
from rollproof.application.client import ApplicationClient
from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.incident.samples import ProbeId, ProbeKind, Unreached
from rollproof.monitoring.probes.probe import COLLECTED, Probe, ProbeResult, unreached_by
from rollproof.profile.access_log import Requests, searched
from rollproof.profile.application_profile import Application
from rollproof.profile.profile import CURRENT, Target
from rollproof.stores.references import follow_all
from rollproof.stores.registry import open_reader
from rollproof.system.clock import Moment
from rollproof.system.http import AGENT, Request, fetch
from rollproof.system.side_by_side import Opened, Question

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.application_profile import Function


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

    def ask(self) -> ProbeResult:
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

    def _reading(self, tally: Tally) -> ProbeResult:
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
        return ProbeResult(ok, str(tally), float(tally.requests), tally.figures())

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


class FunctionProbe(Probe):
    """The function, asked at the profile's own rate; each beat has the last answer.

    What was not well, or nobody knows, as while a store is backed up, is asked again with the next beat.
    """

    id = ProbeId(ProbeKind.FUNCTION)

    def __init__(
        self,
        target: Target,
        function: Function,
        engine: ContainerEngine,
        deadline: float,
        *,
        question: Callable[[str, Callable[[], ProbeResult]], Question[ProbeResult]] = Question,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Ask nothing yet; `transport` None is the network."""
        self._target, self._function, self._engine, self._deadline = target, function, engine, deadline
        self._question = question(str(self.id), self._use)
        self._transport, self._sleep = transport, sleep
        self._last: ProbeResult | None = None
        self._ended: Unverifiable | None = None

    def ask(self) -> ProbeResult:
        """Ask if it is time to; return the newest answer."""
        question, function = self._question, self._function
        well = self._last is not None and self._last.ok
        due = not well or question.asked.seconds_ago() >= function.every_seconds
        if due and not question.waiting:
            question.start()
        question.wait(self._deadline * COLLECTED)
        if not question.waiting:
            self._last = None
            self._last = question.answer()
        elif question.asked.seconds_ago() >= longest_use(self._target.application, chat=function.chat):
            return ProbeResult(False, f"no end since {question.asked.wall}", 1.0, unreached=Unreached.SILENT)
        if self._last is None:
            raise question.unanswered("none yet")
        return self._last

    def _use(self) -> ProbeResult:
        """Use the function once, unless checks use the canary now: then the last answer stays."""
        if self._ended is not None:
            raise self._ended
        with canary_in_use(self._target, alone=True, seconds=0.0) as ours:
            if not ours:
                if self._last is None:
                    raise self._question.unanswered("checks that use it")
                return self._last
            began = Moment.now()
            try:
                done = self._done()
            except Mismatch as refused:
                return ProbeResult(False, refused.summary, 1.0)
            except Unverifiable as problem:
                unreached = unreached_by(problem, self.id.kind)
                if unreached is None:
                    raise
                return ProbeResult(False, problem.summary, 1.0, unreached=unreached)
        wrong = "; ".join(f"{name}: {said}" for name, said in done.items() if said)
        return ProbeResult(
            not wrong, wrong or f"{', '.join(done)}, in {began.seconds_ago():.1f} s", float(bool(wrong))
        )

    def _done(self) -> Mapping[str, str]:
        """Use the function; return what was done, each with what is wrong with it, and leave no trace."""
        application, target = self._target.application, self._target
        wanted, client = application.canary, ApplicationClient(application, self._transport)
        with Opened(lambda name: open_reader(name, target.stores[name], self._engine)) as views:
            follow = partial(follow_all, wanted.references, views, target.personal)
            canary = Canary(target, self._engine, client, follow, sleep=self._sleep)
            done = {"log-in": ""}
            described = application.functions.described()
            try:
                session, there = canary.log_in(), True
                if "documents" in described:
                    files = client.files(session, wanted.knowledge_base)
                    there = not wanted.expected_file or wanted.expected_file in files
                    done["files"] = "" if there else f"{wanted.expected_file} is not among {len(files)} files"
                if self._function.chat and "chat" in described and there:
                    asked = canary.ask(session)
                    done["chat"] = "" if asked.well else str(asked)
            finally:
                self._leave_no_trace(canary)
        return done

    def _leave_no_trace(self, canary: Canary) -> None:
        """Remove the canary's traces; what is left says nothing of the function, and is no bad reading.

        If something cannot be removed, the function is never used again: each use would leave another.
        """
        application = self._target.application
        try:
            if application.canary.sweeper or application.functions.log_out:
                canary.sweep()
            else:
                canary.forget()
        except (Mismatch, Unverifiable) as left:
            problem = Unverifiable(
                what=left.what,
                expected=left.expected,
                observed=left.observed,
                source=left.source,
                hint=left.hint,
                means=left.means,
            )
            self._ended = problem if unreached_by(problem, self.id.kind) is None else None
            raise problem from None


RATIO = "ratio"
"""The figure for the response time divided by the baseline's."""
_OK = range(200, 300)
# Of a page without a record: it may send on to another by design.
_OK_PAGE = range(200, 400)


class CurrentBaseline:
    """The current baseline, loaded again when another becomes current."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._id = ""
        self._found: Baseline | Problem | None = None

    def read(self) -> Baseline:
        """Return it. Verifying a baseline takes time: only one thread may call this.

        Raises:
            UsageProblem: there is no baseline. `Unverifiable`: it is not whole, or not of this target.
        """
        link = self._target.folders.baselines / CURRENT
        current = link.resolve().name if link.exists() else ""
        if self._found is None or not current or current != self._id:
            self._id = current
            try:
                self._found = current_baseline(self._target)
            except Problem as problem:
                self._found = problem
        if isinstance(self._found, Problem):
            raise self._found.with_traceback(None)
        return self._found

    def facts(self) -> Facts | None:
        """Return its facts if it was read, without waiting."""
        found = self._found
        return found.facts if isinstance(found, Baseline) else None


def health_now(
    application: Application,
    deadline: float,
    recorded: Facts | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> ProbeResult:
    """Request the health endpoint: a success status, the expected words, and the response time."""
    answer, expected = fetch(_health(application), deadline, transport), application.health.expect
    said = answer.said(expected)
    text = " ".join([str(answer.status), ", ".join(f"{key} {value}" for key, value in said.items())])
    return ProbeResult(
        answer.status in _OK and said == expected,
        f"{text.strip()}, {answer.milliseconds:.0f} ms",
        answer.milliseconds,
        _ratio(ProbeKind.HEALTH, answer.milliseconds, recorded),
    )


def page_now(
    application: Application,
    deadline: float,
    recorded: Facts | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> ProbeResult:
    """Request the frontend's first page, as a user loads it: right with the status of the baseline."""
    answer, status = fetch(_page(application), deadline, transport), recorded.page_status if recorded else 0
    ok = answer.status == status if status else answer.status in _OK_PAGE
    other = f" instead of {status}" if status and not ok else ""
    return ProbeResult(
        ok,
        f"{answer.status}{other}, {answer.milliseconds:.0f} ms",
        answer.milliseconds,
        _ratio(ProbeKind.PAGE, answer.milliseconds, recorded),
    )


def _ratio(kind: ProbeKind, milliseconds: float, recorded: Facts | None) -> dict[str, float]:
    at_baseline = recorded.milliseconds.get(kind) if recorded else None
    return {} if at_baseline is None else {RATIO: milliseconds / at_baseline}


def _health(application: Application) -> Request:
    return Request("GET", f"{_base(application)}{application.api}{application.health.path}")


def _page(application: Application) -> Request:
    return Request("GET", f"{_base(application)}/")


def _base(application: Application) -> str:
    return str(application.url).rstrip("/")
