"""Probes of the application's health endpoint and first page, with their response times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median

from rollproof.monitoring.probes.probe import Reading, Unheld
from rollproof.monitoring.samples import ProbeId, ProbeKind
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

AtBaseline = Callable[[], Mapping[str, float]]
"""Gives the baseline's milliseconds by probe, if known, without waiting."""


def usual_milliseconds(application: Application) -> dict[str, float]:
    """Return the response times of health and page, each the median of several requests.

    A time is left out unless all its answers are successes: it would be compared with successes only.

    Raises:
        Unverifiable: no whole answer in time.
    """
    found = {}
    for kind, request in ((ProbeKind.HEALTH, _health(application)), (ProbeKind.PAGE, _page(application))):
        answers = [fetch(request, application.deadline_seconds) for _ in range(_TIMES)]
        if all(answer.status in _OK for answer in answers):
            taken = median(answer.milliseconds for answer in answers)
            found[kind.value] = round(max(_LEAST_MILLISECONDS, taken), 3)
    return found


def page_status_of(application: Application) -> int:
    """Return the status of the first page, such as 307 of one that sends on; 0 for a server's error.

    Raises:
        Unverifiable: no whole answer in time.
    """
    status = fetch(_page(application), application.deadline_seconds).status
    return status if status < _FIRST_ERROR else 0


class HealthProbe(Unheld):
    """The health endpoint: a success status, the expected words, and the response time."""

    id = ProbeId(ProbeKind.HEALTH)

    def __init__(self, target: Target, deadline: float, usual: AtBaseline) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._expected = target.application.health.expect
        self._request = _health(target.application)
        self._usual = usual

    def ask(self) -> Reading:
        """Request the endpoint."""
        answer = fetch(self._request, self.deadline)
        body = answer.body if isinstance(answer.body, dict) else {}
        said = {key: body.get(key) for key in self._expected}
        words = ", ".join(f"{key} {value}" for key, value in said.items())
        ok = answer.status in _OK and said == self._expected
        return Reading(
            ok,
            f"{answer.status} {words}, {answer.milliseconds:.0f} ms".replace(" ,", ","),
            answer.milliseconds,
            _ratio(self.id.kind, answer.milliseconds, self._usual),
        )


class PageProbe(Unheld):
    """The frontend's first page, as a user loads it: right with the status that the baseline recorded."""

    id = ProbeId(ProbeKind.PAGE)

    def __init__(
        self, target: Target, deadline: float, usual: AtBaseline, recorded: Callable[[], int]
    ) -> None:
        """Ask nothing yet; `recorded` gives the baseline's status without waiting, 0 if none is known."""
        self.deadline = deadline
        self._request = _page(target.application)
        self._usual, self._recorded = usual, recorded

    def ask(self) -> Reading:
        """Request the page."""
        answer = fetch(self._request, self.deadline)
        recorded = self._recorded()
        ok = answer.status == recorded if recorded else answer.status in _OK_PAGE
        other = f" instead of {recorded}" if recorded and not ok else ""
        text = f"{answer.status}{other}, {answer.milliseconds:.0f} ms"
        figures = _ratio(self.id.kind, answer.milliseconds, self._usual)
        return Reading(ok, text, answer.milliseconds, figures)


def _ratio(kind: ProbeKind, milliseconds: float, usual: AtBaseline) -> dict[str, float]:
    at_baseline = usual().get(kind)
    return {} if at_baseline is None else {RATIO: milliseconds / at_baseline}


def _health(application: Application) -> Request:
    return Request("GET", f"{_base(application)}{application.api}{application.health.path}")


def _page(application: Application) -> Request:
    return Request("GET", f"{_base(application)}/")


def _base(application: Application) -> str:
    return str(application.url).rstrip("/")
