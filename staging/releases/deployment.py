"""Deployments of the application on the staging stack: check out, build, migrate, start."""

from __future__ import annotations

from dataclasses import dataclass

from reports.terminal.progress import Progress
from rollback_actions.rollback.checkout import check_out
from staging.releases.release_repository import Releases, create_repository
from staging.stack.shape import Shape
from staging.stack.stack import Stack

BUILD_SECONDS = 600
SEED_SECONDS = 300
MIGRATE_SECONDS = 180
# A stranger's services wait for each other, and a minute for their first signs of health.
UP_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Deployment:
    """The application of one staging stack, at any commit of its repository."""

    stack: Stack

    def build(self, commit: str) -> None:
        """Check `commit` out and build its images; the `current` tags move to them."""
        check_out(self.stack.state.application, commit)
        self.stack.compose(
            "build",
            "--quiet",
            *self.stack.shape.built,
            seconds=BUILD_SECONDS,
            hint="read what the build said above",
            environment={"REVISION": commit},
        )

    def seed(self, scale: float) -> str:
        """Fill the empty stores; return the seeding's last line of output."""
        return self._tool("seed", "--scale", str(scale), seconds=SEED_SECONDS)

    def migrate(self) -> str:
        """Run the migration of the checked-out release; return its last line of output.

        The application `notebook` migrates at its start.
        """
        if self.stack.shape is Shape.NOTEBOOK:
            return "at the start"
        return self._tool("migrate", seconds=MIGRATE_SECONDS)

    def start(self) -> None:
        """Start or re-create the application's containers on the `current` images; wait until healthy.

        Where some of them wait for containers that are meant to end, compose starts these too.
        """
        alone = [] if self.stack.shape is Shape.STRANGER else ["--no-deps"]
        self.stack.compose(
            "up",
            "--detach",
            "--wait",
            f"--wait-timeout={UP_SECONDS}",
            "--no-build",
            *alone,
            *self.stack.shape.application,
            seconds=UP_SECONDS + 30,
            hint=f"read `docker compose --project-name {self.stack.project} logs`",
        )

    def _tool(self, service: str, *arguments: str, seconds: float) -> str:
        words = self.stack.compose(
            "run",
            "--rm",
            "--no-deps",
            "--no-TTY",
            service,
            *arguments,
            seconds=seconds,
            hint=f"run it by hand: docker compose --project-name {self.stack.project} run --rm {service}",
        )
        lines = [line for line in words.splitlines() if line.strip()]
        return lines[-1] if lines else "done"


def bring_up_application(stack: Stack, progress: Progress, scale: float) -> Releases:
    """Deploy and seed release 1 on running, empty stores; return the application's releases."""
    deployment = Deployment(stack)
    with progress.step("create the application's repository"):
        releases = create_repository(stack.state.application, stack.shape)
    with progress.step("build release 1"):
        deployment.build(releases.release1)
    with progress.step("seed the stores") as step:
        step.result = deployment.seed(scale)
    with progress.step("start release 1"):
        deployment.start()
    return releases
