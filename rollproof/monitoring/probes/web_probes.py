"""Probes of the application's health endpoint and first page, beside what is usual by the baseline."""

from __future__ import annotations

from statistics import median

import httpx2

from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import CURRENT, Baseline
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import Problem
from rollproof.incident.samples import ProbeKind
from rollproof.monitoring.probes.probe import Reading
from rollproof.profile.application_profile import Application
from rollproof.profile.profile import Target
from rollproof.system.http import Request, fetch

RATIO = "ratio"
"""The figure for the response time divided by the baseline's."""
_OK = range(200, 300)
_FIRST_ERROR = 500
# Of a page without a record: it may send on to another by design.
_OK_PAGE = range(200, 400)
# Requests to each for the baseline; a single slow one does not move their median.
_TIMES = 5
# Below this, nobody notices a tripled time, and a busy machine can cause one.
_LEAST_MILLISECONDS = 25.0


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


def usual_milliseconds(
    application: Application, transport: httpx2.BaseTransport | None = None
) -> dict[str, float]:
    """Return the response times of health and page, each the median of several requests.

    A time is left out unless all its answers are successes: it would be compared with successes only.

    Raises:
        Unverifiable: no whole answer in time.
    """
    found = {}
    asked = ((ProbeKind.HEALTH, _health(application), _OK), (ProbeKind.PAGE, _page(application), _OK_PAGE))
    for kind, request, right in asked:
        answers = [fetch(request, application.deadline_seconds, transport) for _ in range(_TIMES)]
        if all(answer.status in right for answer in answers):
            taken = median(answer.milliseconds for answer in answers)
            found[kind.value] = round(max(_LEAST_MILLISECONDS, taken), 3)
    return found


def page_status_of(application: Application, transport: httpx2.BaseTransport | None = None) -> int:
    """Return the status of the first page, such as 307 of one that sends on; 0 for a server's error.

    Raises:
        Unverifiable: no whole answer in time.
    """
    status = fetch(_page(application), application.deadline_seconds, transport).status
    return status if status < _FIRST_ERROR else 0


def health_now(
    application: Application,
    deadline: float,
    recorded: Facts | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> Reading:
    """Request the health endpoint: a success status, the expected words, and the response time."""
    answer, expected = fetch(_health(application), deadline, transport), application.health.expect
    said = answer.said(expected)
    text = " ".join([str(answer.status), ", ".join(f"{key} {value}" for key, value in said.items())])
    return Reading(
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
) -> Reading:
    """Request the frontend's first page, as a user loads it: right with the status of the baseline."""
    answer, status = fetch(_page(application), deadline, transport), recorded.page_status if recorded else 0
    ok = answer.status == status if status else answer.status in _OK_PAGE
    other = f" instead of {status}" if status and not ok else ""
    return Reading(
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
