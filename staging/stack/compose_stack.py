"""A staging stack on docker compose: brought up, asked and taken down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback_actions.backup.scratch import SUFFIX
from rollback_actions.session.session import LockVolumes
from rollproof.engines.compose import PROJECT_LABEL
from rollproof.errors import Problem
from rollproof.system.command import Deadline
from staging.processes import finish, run, tail
from staging.stack.shape import Shape

if TYPE_CHECKING:
    from staging.stack.stack import Stack

# A stranger's services wait for each other, and a minute for their first signs of health.
UP_SECONDS = 180
BUILD_SECONDS = 600
TOOL_SECONDS = 300
ASK_SECONDS = 30
REMOVE_SECONDS = 180
ENDING_SECONDS = 60.0
POLL_SECONDS = 0.5
_HINT = "see that the Docker engine answers"


@dataclass(frozen=True)
class ComposeStack:
    """The services of a staging stack on the machine's own engine."""

    stack: Stack

    def up_stores(self) -> None:
        """Start the stores and wait until each is healthy for the application's requests.

        Raises:
            Problem: A store is not.
        """
        self._up("--quiet-pull", *self.stack.shape.stores)

    def up_application(self) -> None:
        """Start or re-create the application's containers on the `current` images; wait until healthy.

        Where some of them wait for containers that are meant to end, compose starts these too.
        """
        alone = [] if self.stack.shape is Shape.STRANGER else ["--no-deps"]
        self._up(*alone, *self.stack.shape.application)

    def build(self, commit: str) -> None:
        """Build the application's images from `commit`, which is checked out; `current` tags move to them."""
        build_images(self.stack, commit)

    def tool(self, service: str, *arguments: str) -> str:
        """Run a program of the application once, next to its services; return its output."""
        return self.stack.compose(
            *("run", "--rm", "--no-deps", "--no-TTY", service, *arguments),
            seconds=TOOL_SECONDS,
            hint=f"run it by hand: docker compose --project-name {self.stack.project} run --rm {service}",
        )

    def stop(self, service: str) -> None:
        """Stop a service."""
        self.stack.compose("stop", service, seconds=UP_SECONDS)

    def start(self, service: str) -> None:
        """Start a service that was stopped."""
        self.stack.compose("start", service, seconds=UP_SECONDS)

    def used(self) -> bool:
        """Return whether a container of the stack is there, also one that has ended."""
        return bool(self.stack.compose("ps", "--all", "--quiet", seconds=ASK_SECONDS, hint=_HINT).strip())

    def runs(self) -> bool:
        """Return whether a container of the stack runs."""
        return bool(self.stack.compose("ps", "--quiet", seconds=ASK_SECONDS, hint=_HINT).strip())

    @property
    def way(self) -> str:
        """How a person reaches the application, in words."""
        return f"http://127.0.0.1:{self.stack.slot.url_port}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be where an operator of the stack is, for the block: here."""
        yield

    def down(self) -> None:
        """Remove all that the engine holds of the stack and of its scratch instance, and its lock.

        Parts are found by the project's label, since `docker compose down` finds only what the files of this
        checkout and shape describe. Helpers of a killed rollback have no label, but use a volume.

        Raises:
            Problem: A part of the stack is left.
        """
        project, limit = self.stack.project, Deadline(ENDING_SECONDS)
        # A container that ends just now is removed by the engine itself: what is left in the end counts.
        said = list[str]()
        while parts := self._parts():
            if said and limit.passed:
                raise Problem(
                    what=f"project {project}",
                    expected="nothing left of it",
                    observed=tail("".join(said))
                    or ", ".join(name for names in parts.values() for name in names),
                    source="the Docker engine",
                    hint=f"remove what `docker ps --all --filter label={PROJECT_LABEL}={project}` lists",
                )
            said = [
                finish(["docker", *removal.split(), *names], seconds=REMOVE_SECONDS, hint=_HINT).stderr
                for removal, names in parts.items()
            ]
            time.sleep(POLL_SECONDS)
        lock = LockVolumes(project, ASK_SECONDS)
        lock.remove(lock.records())

    def _up(self, *words: str) -> None:
        options = ["--detach", "--wait", f"--wait-timeout={UP_SECONDS}", "--no-build"]
        project = self.stack.project
        hint = f"read `docker compose --project-name {project} logs`, and the health of `docker inspect`"
        self.stack.compose("up", *options, *words, seconds=UP_SECONDS + ASK_SECONDS, hint=hint)

    def _parts(self) -> dict[str, list[str]]:
        """Return the names of all parts, by the command of docker that removes them."""
        project = self.stack.project
        mine = [f"--filter=label={PROJECT_LABEL}={name}" for name in (project, f"{project}{SUFFIX}")]

        def listed(*listing: str) -> list[str]:
            return run(["docker", *listing, "--quiet"], seconds=ASK_SECONDS, hint=_HINT).split()

        volumes = [name for label in mine for name in listed("volume", "ls", label)]
        users = [f"--filter=volume={name}" for name in volumes]
        containers = {
            name for which in (*mine, *users) for name in listed("ps", "--all", "--no-trunc", which)
        }
        networks = [name for label in mine for name in listed("network", "ls", label)]
        parts = {
            "rm --force --volumes": sorted(containers),
            "volume rm --force": volumes,
            "network rm": networks,
        }
        return {removal: names for removal, names in parts.items() if names}


def build_images(stack: Stack, commit: str, **variables: str) -> None:
    """Build the application's images by docker compose, with `variables` in its environment."""
    stack.compose(
        *("build", "--quiet", *stack.shape.built),
        seconds=BUILD_SECONDS,
        hint="read what the build said above",
        environment={"REVISION": commit, **variables},
    )
