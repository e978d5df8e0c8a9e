"""The stores of the rehearsal stack, brought up and taken down with docker compose."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollback_actions.session.lock import LockVolumes
from rollproof.errors import Problem, UsageProblem
from staging.processes import run
from staging.stack.remains import Remains
from staging.stack.shape import Shape
from staging.stack.slot import Slot, first_slot
from staging.stack.stack_holder import release
from staging.stack.stack_state import State
from staging.stack.store_images import Images

IMAGES_CHOICE = "ROLLPROOF_IMAGES"
UP_SECONDS = 180
PULL_SECONDS = 1800
ASK_SECONDS = 30
REASON_CHARACTERS = 300

Report = Callable[[str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """One container of the stack: its service, and the engine's words for its state and its health."""

    service: str
    container: str
    state: str
    health: str

    @property
    def well(self) -> bool:
        """Whether it runs and its healthcheck passes."""
        return self.state == "running" and self.health == "healthy"


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
    def official(self) -> bool:
        """Whether the stores run from their makers' images.

        Raises:
            UsageProblem: The environment asks for something else.
        """
        choice = os.environ.get(IMAGES_CHOICE, "local")
        if choice not in {"local", "official"}:
            raise UsageProblem(
                what="images",
                expected="local or official",
                observed=choice,
                source=IMAGES_CHOICE,
                hint=f"unset {IMAGES_CHOICE} to use images that are built here",
            )
        return choice == "official"

    @property
    def files(self) -> list[Path]:
        """The compose files, including the application's once its repository exists."""
        staging = self.root / "staging"
        files = self.shape.files(staging)
        if self.official:
            files.insert(1, staging / "compose.official.yaml")
        return [*files, *(file for file in self.shape.files(self.state.application) if file.exists())]

    def compose(
        self, *arguments: str, seconds: float, hint: str, environment: Mapping[str, str] | None = None
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
        images = Images(self.root / "staging" / "images", self.state.certificates)
        if self.official:
            report("pulling the stores' images")
            hint = f"unset {IMAGES_CHOICE} where no registry of images can be reached"
            self.compose("pull", "--quiet", *self.shape.stores, seconds=PULL_SECONDS, hint=hint)
            images.build(report, stores=["milvus"])
            return
        images.build(report)

    def up_stores(self, report: Report) -> None:
        """Start the stores and wait until each is healthy for the application's requests.

        Raises:
            Problem: A store is not; the message names it and its healthcheck's output.
        """
        report("starting the stores")
        options = ["--detach", "--wait", f"--wait-timeout={UP_SECONDS}", "--no-build", "--quiet-pull"]
        hint = f"read `docker compose --project-name {self.project} logs`"
        try:
            self.compose("up", *options, *self.shape.stores, seconds=UP_SECONDS + ASK_SECONDS, hint=hint)
        except Problem as problem:
            # A container that is only created waits for compose, whose own error says more.
            unwell = [status for status in self.status() if not status.well and status.state != "created"]
            if not unwell:
                raise
            raise Problem(
                what="stores",
                expected=f"all healthy within {UP_SECONDS} s",
                observed="; ".join(self._describe(status) for status in unwell),
                source="docker compose up",
                hint=hint,
            ) from problem

    def status(self) -> list[ServiceStatus]:
        """Return the stack's containers, including ended ones, by service name."""
        hint = "see that the Docker engine answers"
        listed = self.compose("ps", "--all", "--format=json", seconds=ASK_SECONDS, hint=hint)
        rows = [json.loads(line) for line in listed.splitlines() if line.strip()]
        found = [ServiceStatus(row["Service"], row["Name"], row["State"], row["Health"]) for row in rows]
        return sorted(found, key=lambda status: status.service)

    def down(self, report: Report) -> None:
        """Remove the stack's containers, networks and volumes, including the application's.

        Raises:
            Problem: A part of the stack is left.
        """
        report("taking the stack down")
        Remains(self.project).remove()
        release(self.project)
        LockVolumes(self.project, ASK_SECONDS).clear()

    def _describe(self, status: ServiceStatus) -> str:
        """Return a container's state with the end of its healthcheck's output, or of its log if it ended."""
        if status.state == "running":
            words = run(
                ["docker", "inspect", "--format={{json .State.Health.Log}}", status.container],
                seconds=ASK_SECONDS,
                hint="see that the Docker engine answers",
            )
            checks = json.loads(words) or [{"Output": "no check yet"}]
            last = str(checks[-1]["Output"])
        else:
            last = run(
                ["docker", "logs", "--tail=3", status.container],
                seconds=ASK_SECONDS,
                hint="see that the Docker engine answers",
            )
        reason = " ".join(last.split())[-REASON_CHARACTERS:]
        return f"{status.service} is {status.state} {status.health} ({reason})"
