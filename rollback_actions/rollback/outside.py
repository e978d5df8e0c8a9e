"""The application as its users reach it after a rollback.

A proxy that resolves names only at its start knows a service that was re-created by the address that it had.
"""

from __future__ import annotations

import shlex
import time

from rollback_actions.containers.compose import ComposeControl
from rollback_actions.session.steps import Recorder
from rollproof.engines.compose_project import compose_words
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.profile.profile import Target
from rollproof.system.command import Deadline
from rollproof.system.http import Request, fetch

_OF_A_PROXY = frozenset({502, 504})
_POLL_SECONDS, _SETTLE_SECONDS = 0.2, 5.0


def require_served(target: Target, control: ComposeControl, steps: Recorder, seconds: float) -> None:
    """Ask for health and first page; where a proxy answers that it reaches nothing, restart the proxy once.

    The proxy is the service whose log counts users' requests, or that answers in maintenance. It is not
    restarted where it is a writer: then it is the application itself.

    Raises:
        ActionFailed: nothing is reached behind the proxy still.
    """
    application, limit = target.application, Deadline(seconds)
    unserved = _unserved(target, steps)
    named = (part.service for part in (application.requests, application.maintenance) if part)
    proxies = {name for name in named if name and name not in application.writers}
    if unserved and proxies:
        steps.note(f"{unserved}: {', '.join(sorted(proxies))} is restarted, to resolve its names again")
        control.stop(proxies, deadline=limit.remaining)
        control.start(proxies, deadline=limit.remaining)
        unserved = _unserved(target, steps, restarted=True)
    if unserved:
        others = [name for name in application.services if name not in application.writers]
        again = [*compose_words(target.engine), "restart", *others]
        raise ActionFailed(
            what="application, as its users reach it",
            expected="an answer from behind its proxy",
            observed=unserved,
            source=str(application.url),
            hint=f"the services are up; a proxy that keeps old addresses needs: {shlex.join(again)}",
        )


def _unserved(target: Target, steps: Recorder, *, restarted: bool = False) -> str:
    """Return the request that a proxy cannot hand on, in words, or "" if there is none.

    An application that cannot be asked from here is not judged, unless its proxy was `restarted`.
    """
    application, limit = target.application, Deadline(_SETTLE_SECONDS)
    url = str(application.url).rstrip("/")
    while True:
        found = ""
        for path in (f"{application.api}{application.health.path}", "/"):
            request = Request("GET", url + path, way_in=application.way_in)
            try:
                status = fetch(request, application.deadline_seconds).status
            except Unverifiable as problem:
                if not restarted:
                    steps.note(f"it cannot be seen whether users are served: {problem.summary}")
                    return ""
                found = problem.summary
            else:
                found = f"{status} at {path}" if status in _OF_A_PROXY else found
        if not found or limit.passed:
            return found
        time.sleep(_POLL_SECONDS)
