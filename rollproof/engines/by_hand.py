"""Commands on an engine that hints name, for a person to paste."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Protocol, cast

from rollproof.engines.compose_project import compose_words
from rollproof.profile.profile import Engine

_NO_FILES = 'start it by its compose files, and name them in the profile: files = ["…/compose.yaml"]'


class ByHand(Protocol):
    """The commands of one kind of engine."""

    def start(self, *words: str) -> str:
        """Return what starts the containers by the compose files; compose's ``up`` has `words` as well."""

    def create_again(self, service: str) -> str:
        """Return what creates the containers of a service again, as the compose files have them."""

    def restart(self, services: Iterable[str]) -> str:
        """Return what restarts services, so that they resolve names again."""

    def logs(self, services: Iterable[str]) -> list[str]:
        """Return the words of the command that shows what services do or did."""


def by_hand(profile: Engine) -> ByHand:
    """Return the commands of the engine that `profile` describes."""
    return cast("ByHand", resolve_name(profile.of_kind.by_hand)(profile))


@dataclass(frozen=True, slots=True)
class ComposeByHand:
    """The commands of docker compose."""

    profile: Engine

    def start(self, *words: str) -> str:
        """Return ``up --detach`` with `words`."""
        if not self.profile.files:
            return _NO_FILES
        return shlex.join([*compose_words(self.profile), "up", "--detach", *words])

    def create_again(self, service: str) -> str:
        """Return what creates the containers of a service again."""
        return self.start("--no-build", "--no-deps", "--force-recreate", service)

    def restart(self, services: Iterable[str]) -> str:
        """Return what restarts services."""
        return shlex.join([*compose_words(self.profile), "restart", *services])

    def logs(self, services: Iterable[str]) -> list[str]:
        """Return the words that follow the logs of services."""
        return [*compose_words(self.profile), "logs", "--tail=100", "-f", *services]


@dataclass(frozen=True, slots=True)
class SwarmByHand:
    """The commands of a stack on a swarm."""

    profile: Engine

    def start(self, *_words: str) -> str:
        """Return what deploys the stack."""
        if not self.profile.files:
            return _NO_FILES
        files = [option for file in self.profile.files for option in ("--compose-file", str(file))]
        return shlex.join(["docker", "stack", "deploy", *files, self.profile.project])

    def create_again(self, service: str) -> str:
        """Return what creates the tasks of a service again."""
        return self.restart([service])

    def restart(self, services: Iterable[str]) -> str:
        """Return what replaces the tasks of services."""
        stack = self.profile.project
        return "; ".join(
            shlex.join(["docker", "service", "update", "--force", f"{stack}_{name}"]) for name in services
        )

    def logs(self, _services: Iterable[str]) -> list[str]:
        """Return the words that show the stack's tasks."""
        return ["docker", "stack", "ps", "--no-trunc", self.profile.project]


@dataclass(frozen=True, slots=True)
class SupervisorByHand:
    """The commands of Supervisor."""

    profile: Engine

    def start(self, *_words: str) -> str:
        """Return what starts the programs of the configuration that do not run."""
        return shlex.join([*self._client(), "update"])

    def create_again(self, service: str) -> str:
        """Return what starts the processes of a program again."""
        return self.restart([service])

    def restart(self, services: Iterable[str]) -> str:
        """Return what restarts programs."""
        return shlex.join([*self._client(), "restart", *services])

    def logs(self, services: Iterable[str]) -> list[str]:
        """Return the words that show the states of programs, and what each did last."""
        return [*self._client(), "status", *services]

    def _client(self) -> list[str]:
        return ["supervisorctl", *(f"--configuration={file}" for file in self.profile.files)]
