"""Deployments of the application on the staging stack: check out, build, migrate, start."""

from __future__ import annotations

from dataclasses import dataclass

from reports.terminal.progress import Progress
from rollback_actions.rollback.checkout import check_out
from staging.releases.release_repository import Releases, create_repository
from staging.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Deployment:
    """The application of one staging stack, at any commit of its repository."""

    stack: Stack

    def build(self, commit: str) -> None:
        """Check `commit` out and build its images; the `current` tags move to them."""
        check_out(self.stack.state.application, commit)
        self.stack.services.build(commit)

    def seed(self, scale: float) -> str:
        """Fill the empty stores; return the seeding's last line of output."""
        return self._tool("seed", "--scale", str(scale))

    def migrate(self) -> str:
        """Run the migration of the checked-out release; return its last line of output.

        The application `notebook` migrates at its start.
        """
        return "at the start" if self.stack.shape.is_notebook else self._tool("migrate")

    def start(self) -> None:
        """Start the application's containers on the images that were built last; wait until healthy."""
        self.stack.services.up_application()

    def _tool(self, service: str, *arguments: str) -> str:
        words = self.stack.services.tool(service, *arguments)
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
