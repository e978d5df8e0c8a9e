"""The commands to type next: a person copies them whole, for one target."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fixtures.decision.wish import Kind, Wish
from fixtures.target.profile import Maintenance, Target
from rollback_actions.session.lock import TAKE_OVER

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy" / "rollback"


@dataclass(frozen=True, slots=True)
class Advice:
    """The commands for `target`, whose profile is the file `profile`; run them in the checkout's folder.

    `options` are added to the commands that roll back.
    """

    target: Target
    profile: Path
    options: tuple[str, ...] = ()

    def rollback(self, wish: Wish, *, take_over: bool = False, backup: str | None = None) -> str:
        """Return the command of a rollback: the runbook's own script if there is one.

        `backup` is the set that a person named for its data, or None.
        """
        named = [f"--backup={backup}"] if backup is not None and wish.restores_data else []
        over = [*named, *self.options, *([TAKE_OVER] if take_over else [])]
        match wish.kind:
            case Kind.EMERGENCY:
                return self._script("emergency_rollback.sh", wish.commit, *over)
            case Kind.FULL:
                return self._action("rollback", "full", wish.commit, *over)
            case Kind.SERVICE:
                script = SCRIPTS / f"service_{wish.names[0]}.sh"
            case Kind.DATABASE:
                script = SCRIPTS / f"db_{wish.names[0]}.sh"
        if script.exists():
            return self._script(script.name, *over)
        return self._action("rollback", wish.kind, wish.names[0], *over)

    def resume(self, *, take_over: bool = False) -> str:
        """Return the command that resumes the newest rollback that did not succeed."""
        return self._action("rollback", "resume", *self.options, *([TAKE_OVER] if take_over else []))

    def status(self) -> str:
        """Return the command that shows the newest rollback's status."""
        return self._action("rollback", "status")

    def plan(self) -> str:
        """Return the command that decides on a plan, and shows it."""
        return self._action("plan", "--help")

    def verify(self, incident: str) -> str:
        """Return the command that verifies the rollback of `incident`, phases 1 to 4."""
        return shlex.join(
            [
                *(sys.executable, "-m", "pytest", "-m", "verification", "-n2"),
                *(f"--incident={incident}", self._profile()),
            ]
        )

    def go_on(self, services: Iterable[str], *, take_over: bool) -> tuple[str, ...]:
        """Return the commands for a rollback that began and did not succeed, a line each."""
        return (
            f"  how far it came:  {self.status()}",
            f"  why:              {self.logs(services)}",
            f"  then resume:      {self.resume(take_over=take_over)}",
        )

    def health(self) -> str:
        """Return the command that asks for the application's health as a user would."""
        application = self.target.application
        base = str(application.url).rstrip("/")
        return shlex.join(["curl", f"{base}{application.api}{application.health.path}"])

    def commits(self) -> str:
        """Return the command that lists the application's last commits."""
        return shlex.join(["git", "-C", str(self.target.application.repository), "log", "--oneline", "-10"])

    def logs(self, services: Iterable[str]) -> str:
        """Return the command that follows the logs of `services`."""
        return shlex.join([*self._compose(), "logs", "--tail=100", "-f", *services])

    def maintenance_off(self, maintenance: Maintenance) -> str:
        """Return the command that takes the application out of maintenance by hand."""
        return shlex.join([*self._compose(), "exec", "-T", maintenance.service, *maintenance.off])

    def _compose(self) -> list[str]:
        engine = self.target.engine
        files = [option for file in engine.files for option in ("--file", str(file))]
        environment = ["--env-file", str(engine.env_file)] if engine.env_file else []
        return ["docker", "compose", "--project-name", engine.project, *environment, *files]

    def _action(self, *words: str) -> str:
        return shlex.join([sys.executable, "-m", "rollback_actions", *words, self._profile()])

    def _script(self, name: str, *words: str) -> str:
        return shlex.join([str(SCRIPTS / name), *words, self._profile()])

    def _profile(self) -> str:
        return f"--target={self.profile.resolve()}"
