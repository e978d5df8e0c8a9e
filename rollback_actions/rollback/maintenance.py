"""Maintenance: while services are stopped, every request gets 503 with Retry-After, not a refusal.

Where the canary has a way in, users stay out until the rollback is verified. Their writes before that would
look like the rollback's mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rollback_actions.containers.compose import ComposeControl
from rollback_actions.session.steps import Recorder
from rollproof.application.maintenance import GLANCE_SECONDS, in_maintenance
from rollproof.errors import ActionFailed, Problem, Unverifiable
from rollproof.incident.journal_steps import Step
from rollproof.planning.advice import Advice
from rollproof.profile.application_profile import Application, Maintenance
from rollproof.system.command import Deadline

POLL_SECONDS = 0.2
SHORTEST_SECONDS = 0.1


class MaintenanceMode:
    """The maintenance of one rollback: on before the first writer stops, off when all services are healthy.

    Where it cannot be put on, its service is stopped like the others: a broken proxy must not prevent a
    rollback. Where the canary has a way in, it is put on again, until `let_in`.
    """

    def __init__(
        self, application: Application, profile: Maintenance, control: ComposeControl, steps: Recorder
    ) -> None:
        """Take `profile` of `application`; change nothing yet."""
        self._application = application
        self._profile = profile
        self._control = control
        self._steps = steps
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
                lasting = in_maintenance(self._application, self._application.deadline_seconds)
            except Unverifiable as problem:
                self._steps.note(f"it cannot be seen whether maintenance is off: {problem.summary}")
                return
            if lasting:  # an earlier run has put it on, and a start does not take it off
                self._off()

    def keep_out(self) -> None:
        """Put maintenance on again, and see that the canary alone is let in; else let everybody in.

        A rollback that is done does not fail for it: users who come in early are told by the verification.
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
        self._control.run(self._profile.service, command, deadline=self._application.deadline_seconds)

    def _await(self, *, on: bool, by_way_in: bool = False) -> None:
        limit = Deadline(self._application.deadline_seconds)
        while not self._seen(limit, on=on, by_way_in=by_way_in):
            if limit.passed:
                what = "way in during" if by_way_in else "maintenance of"
                part = ", and its way_in," if by_way_in else ""
                raise ActionFailed(
                    what=f"{what} {'maintenance' if by_way_in else self._profile.service}",
                    expected=f"{'503 with' if on else 'an answer other than 503 with'} Retry-After",
                    observed=f"{'another answer' if on else 'that'} after {limit.seconds:g} s",
                    source=str(self._application.url),
                    hint=f"see what on and off of application.maintenance{part} do in that container",
                )
            time.sleep(POLL_SECONDS)

    def _seen(self, limit: Deadline, *, on: bool, by_way_in: bool) -> bool:
        seconds = max(limit.remaining, SHORTEST_SECONDS)
        try:
            return in_maintenance(self._application, seconds, by_way_in=by_way_in) is on
        except Unverifiable:
            if limit.passed:
                raise
            return False


def left_on(advice: Advice) -> list[str]:
    """Return the lines about maintenance after a rollback that did not succeed; none when it is off."""
    application = advice.target.application
    if application.maintenance is None:
        return []
    try:
        if not in_maintenance(application, GLANCE_SECONDS):
            return []
        state = "maintenance is on, and stays on until the rollback has succeeded: every request gets 503"
    except Unverifiable:
        state = "maintenance may be on, the application does not answer"
    return [f"  {state}", f"  to take it off:   {advice.maintenance_off(application.maintenance)}"]
