"""Maintenance: while services are stopped, every request gets 503 with Retry-After, not a refusal.

Where the canary has a way in, users stay out until the rollback is verified. Their writes before that would
look like the rollback's mistakes.

A proxy that resolves names only at its start knows a re-created service by its old address, and is restarted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rollback_actions.containers.compose import ComposeControl
from rollback_actions.outside import Outside
from rollback_actions.session.session import Recorder
from rollproof.application.client import in_maintenance
from rollproof.engines.by_hand import by_hand
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, Unverifiable
from rollproof.incident.journal import Step
from rollproof.planning.writers import WriterPlace, WriterWatch, running_writers
from rollproof.profile.application_profile import Application, Maintenance
from rollproof.profile.profile import Target
from rollproof.stores.keeper import StoreClients
from rollproof.stores.keepers import tells_clients
from rollproof.system.command import Deadline
from rollproof.system.http import Request, fetch

POLL_SECONDS = 0.2
SHORTEST_SECONDS = 0.1
_SETTLE_SECONDS = 5.0
_OF_A_PROXY = frozenset({502, 504})


class MaintenanceMode:
    """The maintenance of one rollback: on before the first writer stops, off when all services are healthy.

    Where it cannot be put on, its service is stopped like the others: a broken proxy must not prevent a
    rollback. Where the canary has a way in, it is put on again, until `let_in`.
    """

    def __init__(
        self,
        application: Application,
        profile: Maintenance,
        control: ComposeControl,
        steps: Recorder,
        outside: Outside,
    ) -> None:
        """Take `profile` of `application`; change nothing yet."""
        self._application = application
        self._profile = profile
        self._control = control
        self._steps = steps
        self._outside = outside
        self._on = False

    def begin(self) -> Sequence[tuple[str, ...]]:
        """Put maintenance on and check it; if that fails, return the group of services to stop as well."""
        try:
            with self._steps(Step.MAINTENANCE_ON):
                self._run(self._profile.on)
                self._await(on=True)
        except Problem as problem:
            self._steps.note(
                f"{self._profile.service} is stopped too, maintenance is not on: {problem.summary}"
            )
            return ((self._profile.service,),)
        self._on = True
        return ()

    def end(self, bring_up: Callable[[], None]) -> None:
        """Take maintenance off and check it; `bring_up` makes its service the wanted one, and healthy.

        The other services are healthy by now.
        """
        with self._steps(Step.MAINTENANCE_OFF):
            if self._on:
                # First: the service's health may depend on it.
                self._run(self._profile.off)
                bring_up()
                self._await(on=False)
                return
            bring_up()
            try:
                lasting = self._is_on(self._application.deadline_seconds)
            except Unverifiable as problem:
                self._steps.note(f"it cannot be seen whether maintenance is off: {problem.summary}")
                return
            if lasting:  # an earlier run has put it on, and a start does not take it off
                self._off()

    def keep_out(self) -> None:
        """Put maintenance on again, and see that the canary alone is let in; else let everybody in.

        A rollback that is done does not fail for it: users who come in early are named by the verification.
        """
        try:
            with self._steps(Step.KEEP_OUT):
                self._run(self._profile.on)
                self._await(on=True)
                self._await(on=False, by_way_in=True)
        except Problem as problem:
            self._steps.note(f"users are let in before the rollback is verified: {problem.summary}")
            self.let_in()

    def let_in(self) -> None:
        """Take maintenance off, and see it off."""
        with self._steps(Step.MAINTENANCE_OFF):
            self._off()

    def _off(self) -> None:
        self._run(self._profile.off)
        self._await(on=False)

    def _run(self, command: Sequence[str]) -> None:
        service, seconds = self._profile.service, self._application.deadline_seconds
        self._control.run_in_each(service, command, deadline=seconds)

    def _await(self, *, on: bool, by_way_in: bool = False) -> None:
        limit = self._outside.deadline(self._application.deadline_seconds)
        while not self._seen(limit, on=on, by_way_in=by_way_in):
            if limit.passed:
                raise ActionFailed(
                    what=f"maintenance of {self._profile.service}{', by its way_in' if by_way_in else ''}",
                    expected=f"{'503 with' if on else 'an answer other than 503 with'} Retry-After",
                    observed=f"{'another answer' if on else 'that'} after {limit.seconds:g} s",
                    source=str(self._application.url),
                    hint="see what on, off and way_in of application.maintenance do in that container",
                )
            self._outside.sleep(POLL_SECONDS)

    def _seen(self, limit: Deadline, *, on: bool, by_way_in: bool) -> bool:
        seconds = max(limit.remaining, SHORTEST_SECONDS)
        try:
            return self._is_on(seconds, by_way_in=by_way_in) is on
        except Unverifiable:
            if limit.passed:
                raise
            return False

    def _is_on(self, seconds: float, *, by_way_in: bool = False) -> bool:
        return in_maintenance(
            self._application, seconds, by_way_in=by_way_in, transport=self._outside.transport
        )


def serve_again(
    target: Target, control: ComposeControl, steps: Recorder, seconds: float, outside: Outside
) -> None:
    """Ask for health and first page; where a proxy answers that it reaches nothing, restart the proxy once.

    The proxy is the service whose log counts users' requests, or that answers in maintenance. It is not
    restarted where it is a writer: then it is the application itself.
    """
    application, limit = target.application, Deadline(seconds)
    unserved = _unserved(target, steps, outside)
    named = (part.service for part in (application.requests, application.maintenance) if part)
    proxies = {name for name in named if name and name not in application.writers}
    if unserved and proxies:
        steps.note(f"{unserved}: {', '.join(sorted(proxies))} is restarted, to resolve its names again")
        control.stop(proxies, deadline=limit.remaining)
        control.start(proxies, deadline=limit.remaining)
        unserved = _unserved(target, steps, outside)
    if unserved:
        others = [name for name in application.services if name not in application.writers]
        raise ActionFailed(
            what="application, as its users reach it",
            expected="an answer from behind its proxy",
            observed=unserved,
            source=str(application.url),
            hint="the services are up; a proxy that keeps old addresses needs: "
            + by_hand(target.engine).restart(others),
        )


def _unserved(target: Target, steps: Recorder, outside: Outside) -> str:
    """Return the request that a proxy cannot hand on, in words, or "" if there is none.

    An application that cannot be asked from here is not judged.
    """
    application, limit = target.application, outside.deadline(_SETTLE_SECONDS)
    url = str(application.url).rstrip("/")
    while True:
        found = ""
        for path in (f"{application.api}{application.health.path}", "/"):
            request = Request("GET", url + path, way_in=application.way_in)
            try:
                status = fetch(request, application.deadline_seconds, outside.transport).status
            except Unverifiable as problem:
                steps.note(f"it cannot be seen whether users are served: {problem.summary}")
                return ""
            if status in _OF_A_PROXY:
                found = f"{status} at {path}"
        if not found or limit.passed:
            return found
        outside.sleep(POLL_SECONDS)


@dataclass
class Connections:
    """The connections to one store. It is opened again after each failure: a restart can move the store."""

    name: str
    open: Callable[[], StoreClients]
    _clients: StoreClients | None = None

    def look(self) -> Sequence[str]:
        """Return the connected clients that this process did not open."""
        if self._clients is None:
            self._clients = self.open()
        try:
            others = self._clients.others()
        except Problem:
            self.close()
            raise
        return [f"client {one} of {self.name}" for one in others]

    def close(self) -> None:
        """Close the watch's own connection."""
        if self._clients is not None:
            self._clients.close()
            self._clients = None


def watch_of(
    target: Target,
    stores: Sequence[str],
    engine: ContainerEngine,
    note: Callable[[str], None],
    outside: Outside,
) -> WriterWatch:
    """Return the watch for writers while `stores` are restored; `note` takes what it cannot see."""
    places, unlisted = [WriterPlace("the containers", partial(running_writers, target, engine))], []
    for name in stores:
        if tells_clients(target.stores[name]):
            clients = Connections(name, partial(outside.open_clients, name, target.stores[name], engine))
            places.append(WriterPlace(name, clients.look, clients.close))
        else:
            unlisted.append(name)
    return WriterWatch(stores, places, unlisted, note, outside.look_seconds, outside.deadline, outside.sleep)
