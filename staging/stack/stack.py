"""The stores of the rehearsal stack, brought up and taken down with docker compose."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollback_actions.backup.scratch import SUFFIX
from rollback_actions.session.lock import LockVolumes
from rollproof.engines.compose import PROJECT_LABEL
from rollproof.errors import Problem
from rollproof.system.command import Deadline
from staging.processes import LOOK, finish, run, tail
from staging.stack.images import bake, build_store_images
from staging.stack.shape import Shape
from staging.stack.slot import Slot, first_slot
from staging.stack.stack_state import State

IMAGES_CHOICE = "ROLLPROOF_IMAGES"
UP_SECONDS = 180
PULL_SECONDS = 1800
ASK_SECONDS = 30
REMOVE_SECONDS = 180
ENDING_SECONDS = 60.0
POLL_SECONDS = 0.5
_HINT = "see that the Docker engine answers"

Report = Callable[[str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """One container of the stack: its service, and the engine's words for its state and its health."""

    service: str
    container: str
    state: str
    health: str


@dataclass(frozen=True)
class Stack:
    """The staging stack in one slot of the checkout in `root`; without a slot, in the first.

    It is brought up in the `wanted` shape; one that is up already has the shape that it has.
    """

    root: Path
    slot: Slot = field(default_factory=lambda: Slot(first_slot()))
    name: str = ""
    wanted: Shape = Shape.USUAL

    @property
    def project(self) -> str:
        """The compose project: the slot's, unless the stack has its own name."""
        return self.name or self.slot.project

    @property
    def profile(self) -> Path:
        """The profile of this stack as a target."""
        return self.slot.profile(self.root, self.shape)

    @property
    def shape(self) -> Shape:
        """The shape of the stack."""
        return self.state.shape

    @property
    def state(self) -> State:
        """The secrets and settings of this stack."""
        return State(self.slot.folder(self.root), self.slot, self.root)

    @property
    def mark(self) -> Path:
        """The file that says that a command has the stack for itself: see `fresh_stacks`."""
        return self.root / ".staging" / f"{self.project}.mark"

    @property
    def official(self) -> bool:
        """Whether the stores run from their makers' images, which ROLLPROOF_IMAGES=official asks for.

        Those of the application `notebook` never do.
        """
        return self.shape is not Shape.NOTEBOOK and os.environ.get(IMAGES_CHOICE) == "official"

    @property
    def files(self) -> list[Path]:
        """The compose files, including the application's once its repository exists."""
        staging = self.root / "staging"
        files = self.shape.store_files(staging)
        if self.official:
            files.insert(1, staging / "compose.official.yaml")
        return [
            *files,
            *(file for file in self.shape.application_files(self.state.application) if file.exists()),
        ]

    def compose(
        self, *arguments: str, seconds: float, hint: str = LOOK, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run docker compose on this stack and return its standard output.

        Raises:
            Problem: The command failed, or timed out after `seconds`.
        """
        files = [f"--file={file}" for file in self.files]
        base = ["docker", "compose", f"--project-name={self.project}", f"--env-file={self.state.environment}"]
        return run([*base, *files, *arguments], seconds=seconds, hint=hint, environment=environment)

    def prepare(self) -> None:
        """Create missing secrets and settings."""
        self.state.prepare()

    def build(self, report: Report) -> None:
        """Build the stores' images that are missing or out of date, or pull the official ones.

        Raises:
            Problem: An image cannot be built or pulled.
        """
        if not self.official:
            build_store_images(self.root, self.state.certificates, self.shape, report)
            return
        report("pulling the stores' images")
        hint = f"unset {IMAGES_CHOICE} where no registry of images can be reached"
        self.compose("pull", "--quiet", *self.shape.stores, seconds=PULL_SECONDS, hint=hint)
        # It makes the accounts of the official one.
        bake(self.root, self.state.certificates, ["milvus"], report)

    def up_stores(self, report: Report) -> None:
        """Start the stores and wait until each is healthy for the application's requests.

        Raises:
            Problem: A store is not.
        """
        report("starting the stores")
        options = ["--detach", "--wait", f"--wait-timeout={UP_SECONDS}", "--no-build", "--quiet-pull"]
        hint = f"read `docker compose --project-name {self.project} logs`, and the health of `docker inspect`"
        self.compose("up", *options, *self.shape.stores, seconds=UP_SECONDS + ASK_SECONDS, hint=hint)

    def status(self) -> list[ServiceStatus]:
        """Return the stack's containers, including ended ones, by service name."""
        listed = self.compose("ps", "--all", "--format=json", seconds=ASK_SECONDS, hint=_HINT)
        rows = [json.loads(line) for line in listed.splitlines() if line.strip()]
        found = [ServiceStatus(row["Service"], row["Name"], row["State"], row["Health"]) for row in rows]
        return sorted(found, key=lambda status: status.service)

    def down(self, report: Report) -> None:
        """Remove all that the engine holds of the stack and of its scratch instance, its lock and its mark.

        Parts are found by the project's label, since `docker compose down` finds only what the files of this
        checkout and shape describe. Helpers of a killed rollback have no label, but use a volume.

        Raises:
            Problem: A part of the stack is left.
        """
        report("taking the stack down")
        limit = Deadline(ENDING_SECONDS)
        # A container that ends just now is removed by the engine itself: what is left in the end counts.
        said = list[str]()
        while parts := self._parts():
            if said and limit.passed:
                raise Problem(
                    what=f"project {self.project}",
                    expected="nothing left of it",
                    observed=tail("".join(said))
                    or ", ".join(name for names in parts.values() for name in names),
                    source="the Docker engine",
                    hint=f"remove what `docker ps --all --filter label={PROJECT_LABEL}={self.project}` lists",
                )
            said = [
                finish(["docker", *removal.split(), *names], seconds=REMOVE_SECONDS, hint=_HINT).stderr
                for removal, names in parts.items()
            ]
            time.sleep(POLL_SECONDS)
        LockVolumes(self.project, ASK_SECONDS).clear()
        self.mark.unlink(missing_ok=True)

    def _parts(self) -> dict[str, list[str]]:
        """Return the names of all parts, by the command of docker that removes them."""
        mine = [
            f"--filter=label={PROJECT_LABEL}={name}" for name in (self.project, f"{self.project}{SUFFIX}")
        ]

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
