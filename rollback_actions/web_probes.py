"""What is seen of the application first: its health endpoint and its first page, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median

from fixtures.http import Request, fetch
from fixtures.severity import HEALTH, PAGE
from fixtures.target import Application, Target
from rollback_actions.reading import Reading, Unheld

RATIO = "ratio"
"""The figure that says how many times as long as at the baseline it took."""
_OK = range(200, 300)
# How often each is asked for the baseline: the median of them leaves out one that had to wait.
_TIMES = 5
# Nobody notices three times as long as less than this, and a busy machine makes it so.
_LEAST_MILLISECONDS = 25.0

AtBaseline = Callable[[], Mapping[str, float]]
"""Tells by probe, without waiting, how many milliseconds it took at the baseline, where that is known."""


def usual_milliseconds(application: Application) -> dict[str, float]:
    """Return how long health and page take now, each the median of some requests.

    One whose answer is none of success is left out: there is nothing that it could be compared with.

    Raises:
        Unverifiable: no whole answer in time.
    """
    found = {}
    for name, request in ((HEALTH, _health(application)), (PAGE, _page(application))):
        answers = [fetch(request, application.deadline_seconds) for _ in range(_TIMES)]
        if all(answer.status in _OK for answer in answers):
            taken = median(answer.milliseconds for answer in answers)
            found[name] = round(max(_LEAST_MILLISECONDS, taken), 3)
    return found


class HealthProbe(Unheld):
    """The health endpoint: a status of success, the right words, and how long that takes."""

    name = HEALTH

    def __init__(self, target: Target, deadline: float, usual: AtBaseline) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._expected = target.application.health.expect
        self._request = _health(target.application)
        self._usual = usual

    def ask(self) -> Reading:
        """Ask it."""
        answer = fetch(self._request, self.deadline)
        body = answer.body if isinstance(answer.body, dict) else {}
        said = {key: body.get(key) for key in self._expected}
        words = ", ".join(f"{key} {value}" for key, value in said.items())
        ok = answer.status in _OK and said == self._expected
        return Reading(
            ok,
            f"{answer.status} {words}, {answer.milliseconds:.0f} ms".replace(" ,", ","),
            answer.milliseconds,
            _ratio(self.name, answer.milliseconds, self._usual),
        )


class PageProbe(Unheld):
    """The frontend's first page, as a user loads it."""

    name = PAGE

    def __init__(self, target: Target, deadline: float, usual: AtBaseline) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._request = _page(target.application)
        self._usual = usual

    def ask(self) -> Reading:
        """Load it."""
        answer = fetch(self._request, self.deadline)
        text = f"{answer.status}, {answer.milliseconds:.0f} ms"
        figures = _ratio(self.name, answer.milliseconds, self._usual)
        return Reading(answer.status in _OK, text, answer.milliseconds, figures)


def _ratio(name: str, milliseconds: float, usual: AtBaseline) -> dict[str, float]:
    at_baseline = usual().get(name)
    return {} if at_baseline is None else {RATIO: milliseconds / at_baseline}


def _health(application: Application) -> Request:
    return Request("GET", f"{_base(application)}{application.api}{application.health.path}")


def _page(application: Application) -> Request:
    return Request("GET", f"{_base(application)}/")


def _base(application: Application) -> str:
    return str(application.url).rstrip("/")
