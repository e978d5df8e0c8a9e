"""What users asked the application since the last beat, and what they got: by its log, or by Prometheus."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fixtures.access_log import Prometheus, Requests
from fixtures.errors import Unverifiable
from fixtures.http import Request, fetch
from fixtures.severity import REQUESTS
from fixtures.target import Target
from rollback_actions.reading import Probe, Reading, Unheld
from rollback_actions.request_log import Cursor, Line, Tally, stamped

if TYPE_CHECKING:
    from fixtures.engines.engine import ContainerEngine

# So many lines at the end of the log are looked at; only when these are too few for a beat, so many.
FEW, MANY = 2_000, 50_000
# At so many questions without a line a log is not quiet, but none: one may come between two requests.
SILENT = 3
_OK = 200


def open_requests(target: Target, engine: ContainerEngine, deadline: float) -> Probe:
    """Return the probe of requests, by where the profile says that they are counted."""
    source = target.application.requests
    limit = target.severity.non_critical.errors.limit
    if source is None:
        return _Nowhere(deadline)
    if source.prometheus is not None:
        return PrometheusProbe(source.prometheus, limit, deadline)
    return LogProbe(source, limit, engine, deadline)


class _Nowhere(Unheld):
    """A profile that does not say where requests are counted: nobody knows how they fare."""

    name = REQUESTS

    def __init__(self, deadline: float) -> None:
        """Ask nothing."""
        self.deadline = deadline

    def ask(self) -> Reading:
        """Say so."""
        raise Unverifiable(
            what="requests of users",
            expected="application.requests in the profile",
            observed="none",
            source="the profile",
            hint="name the service that logs requests in application.requests, or a Prometheus",
        )


class LogProbe(Unheld):
    """The access log of a service: what its containers have logged since the last question."""

    name = REQUESTS

    def __init__(self, source: Requests, limit: float, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet; from `limit` percent of errors on it is not well."""
        self.deadline = deadline
        self._source = source
        self._limit = limit
        self._engine = engine
        self._cursors: dict[str, Cursor] = {}
        self._begun = False
        self._silent = 0

    def ask(self) -> Reading:
        """Read what is new. The first question only finds out where the logs end."""
        containers = [
            container.name
            for container in self._engine.running()
            if container.service == self._source.service and not container.one_off
        ]
        if not containers:
            raise self._unknown("a container that runs", "none", "requests are logged there: start it")
        if not self._begun:
            self._cursors = {name: self._end(name) for name in containers}
            self._begun = True
            raise self._unknown("an earlier question", "the first one", "the next one counts from here")
        # The log of a container that was not there before is read from its beginning.
        self._cursors |= {name: Cursor() for name in containers if name not in self._cursors}
        # All of them before any is counted: what is counted is not read again.
        read = [(self._cursors[name], *self._lines(name, self._cursors[name])) for name in containers]
        tally = Tally(self._source)
        for cursor, lines, _ in read:
            for line in cursor.new(lines):
                tally.add(line)
        return self._reading(tally, whole=all(whole for _, _, whole in read))

    def _reading(self, tally: Tally, *, whole: bool) -> Reading:
        if tally.unmatched and not tally.asked:
            raise self._unknown(
                "lines that application.requests.pattern matches",
                f"none among {tally.unmatched} lines",
                "correct that pattern: it has the groups status, path, method and, if need be, seconds",
            )
        self._silent = 0 if tally.asked else self._silent + 1
        if self._silent >= SILENT:
            # The monitor itself asks for health and page at each beat.
            raise self._unknown(
                "lines of this monitor's own requests at least",
                f"none at {self._silent} questions",
                "see that it logs to its standard output, and that application.url leads through it",
            )
        ok = not tally.requests or 100 * tally.errors / tally.requests < self._limit
        more = "" if whole else "; earlier ones are gone from the log"
        return Reading(ok, f"{tally}{more}", float(tally.requests), tally.figures())

    def _end(self, container: str) -> Cursor:
        end = Cursor()
        end.new(stamped(self._engine.logs_since(container, 0.0, 1)))
        return end

    def _lines(self, container: str, cursor: Cursor) -> tuple[list[Line], bool]:
        """Return the lines from the cursor on, and whether none is missing between."""
        lines: list[Line] = []
        for most in (FEW, MANY):
            lines = list(stamped(self._engine.logs_since(container, cursor.since, most)))
            if cursor.meets(lines, most):
                return lines, True
        return lines, False

    def _unknown(self, expected: str, observed: str, hint: str) -> Unverifiable:
        return Unverifiable(
            what="requests of users",
            expected=expected,
            observed=observed,
            source=f"log of {self._source.service}",
            hint=hint,
        )


class PrometheusProbe(Unheld):
    """Requests as a Prometheus has counted them."""

    name = REQUESTS

    def __init__(self, source: Prometheus, limit: float, deadline: float) -> None:
        """Ask nothing yet; from `limit` percent of errors on it is not well."""
        self.deadline = deadline
        self._limit = limit
        self._base = str(source.url).rstrip("/")
        self._expressions: Mapping[str, str] = {
            name: expression
            for name in ("requests", "errors", "log_ins", "failed_log_ins", "p95")
            if (expression := getattr(source, name)) is not None
        }

    def ask(self) -> Reading:
        """Ask each expression, all of them within the deadline."""
        give_up = time.monotonic() + self.deadline
        figures: dict[str, float] = {}
        for name, expression in self._expressions.items():
            if name == "p95" and not figures["requests"]:
                continue  # of no request there is no latency
            figures[name] = self._number(name, expression, give_up - time.monotonic())
        requests, errors = figures["requests"], figures["errors"]
        ok = not requests or 100 * errors / requests < self._limit
        said = ", ".join(f"{name} {figure:.4g}" for name, figure in figures.items())
        return Reading(ok, said, requests, figures)

    def _number(self, name: str, expression: str, seconds: float) -> float:
        if seconds <= 0:
            raise self._unknown(name, f"numbers within {self.deadline:g} s", "none by then")
        query = urlencode({"query": expression})
        try:
            answer = fetch(Request("GET", f"{self._base}/api/v1/query?{query}"), seconds)
        except Unverifiable as problem:
            raise self._unknown(name, "an answer", problem.observed) from None
        if answer.status != _OK or not isinstance(answer.body, dict):
            error = answer.body.get("error", "no reason") if isinstance(answer.body, dict) else "no JSON"
            raise self._unknown(name, "a status of success", f"{answer.status}: {error}")
        number = _number_in(answer.body)
        if isinstance(number, str):
            raise self._unknown(name, "one number, 0 or more", number)
        return number

    def _unknown(self, name: str, expected: str, observed: object) -> Unverifiable:
        return Unverifiable(
            what=f"application.requests.prometheus.{name}",
            expected=expected,
            observed=observed,
            source=self._base,
            hint="try the expression in Prometheus: it must come to one number, such as sum(rate(…[1m])); of "
            "errors there is no series before the first one: sum(rate(…[1m])) or vector(0)",
        )


def _number_in(body: Mapping[str, Any]) -> float | str:
    """Return the one number that an answer holds, or in words what it holds instead."""
    try:
        data = body["data"]
        result = data["result"]
        if data["resultType"] == "vector":
            if len(result) != 1:
                return f"{len(result)} series" if result else "no series"
            value = result[0]["value"]
        elif data["resultType"] == "scalar":
            value = result
        else:
            return f"a {data['resultType']}"
        number = float(value[1])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return f"an answer of another shape ({type(error).__name__})"
    return number if math.isfinite(number) and number >= 0 else f"{number:g}"
