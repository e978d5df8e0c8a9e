"""The commands to type next: a person copies them whole, for one target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rollproof.engines.by_hand import by_hand
from rollproof.home import COMMAND
from rollproof.incident.rollback_request import RollbackRequest
from rollproof.profile.profile import Target
from rollproof.system.command import Command

TAKE_OVER = "--take-over"


@dataclass(frozen=True, slots=True)
class Advice:
    """The commands for `target`, whose profile is the file `profile`; those of a checkout run in its folder.

    `options` are added to the commands that roll back.
    """

    target: Target
    profile: Path
    options: tuple[str, ...] = ()

    def rollback(
        self, request: RollbackRequest, *, take_over: bool = False, backup: str | None = None
    ) -> Command:
        """Return the command of a rollback; `backup` is the set that a person named for its data, or None."""
        named = [f"--backup={backup}"] if backup is not None and request.restores_data else []
        over = [*named, *self.options, *([TAKE_OVER] if take_over else [])]
        return self._action("rollback", request.kind, *(request.names or (request.commit,)), *over)

    def resume(self, *, take_over: bool = False) -> Command:
        """Return the command that resumes the newest rollback that did not succeed."""
        return self._action("rollback", "resume", *self.options, *([TAKE_OVER] if take_over else []))

    def status(self) -> Command:
        """Return the command that shows the newest rollback's status."""
        return self._action("rollback", "status")

    def verify(self, incident: str) -> Command:
        """Return the command that verifies the rollback of `incident`, phases 1 to 4."""
        return Command((COMMAND, "verify", f"--incident={incident}", self._profile()))

    def go_on(self, services: Iterable[str], *, take_over: bool) -> tuple[str, ...]:
        """Return the commands for a rollback that began and did not succeed, a line each."""
        return (
            f"  how far it came:  {self.status()}",
            f"  why:              {self.logs(services)}",
            f"  then resume:      {self.resume(take_over=take_over)}",
        )

    def health(self) -> Command:
        """Return the command that asks for the application's health as a user would."""
        return Command(("curl", self._health))

    def commits(self) -> Command:
        """Return the command that shows the newest commits of the application's working copy."""
        return Command(("git", "-C", str(self.target.application.repository), "log", "--oneline", "-10"))

    def reach(self) -> str:
        """Return the line that shows what this machine reaches: the engine, and the application."""
        return f"docker version; {Command(('curl', '--max-time', '3', self._health))}"

    def logs(self, services: Iterable[str]) -> Command:
        """Return the command that follows the logs of `services`; on a swarm, one that shows its tasks."""
        return Command(tuple(by_hand(self.target.engine).logs(services)))

    def let_in(self) -> Command:
        """Return the command that lets users in after a rollback that is verified."""
        return self._action("rollback", "let-in")

    @property
    def _health(self) -> str:
        application = self.target.application
        return f"{str(application.url).rstrip('/')}{application.api}{application.health.path}"

    def _action(self, *words: str) -> Command:
        return Command((COMMAND, *words, self._profile()))

    def _profile(self) -> str:
        return f"--target={self.profile.resolve()}"
