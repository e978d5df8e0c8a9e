"""The staging stack of one slot: its files, its profile, its images; `services` are on its engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from staging.processes import LOOK, run
from staging.stack.compose_stack import ComposeStack
from staging.stack.images import bake, build_store_images
from staging.stack.shape import Shape
from staging.stack.slot import Slot, first_slot
from staging.stack.stack_state import State
from staging.stack.swarm_stack import SwarmStack

IMAGES_CHOICE = "ROLLPROOF_IMAGES"
PULL_SECONDS = 1800

Report = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """The staging stack in one slot of the checkout in `root`; without a slot, in the first.

    It is brought up in the `wanted` shape; one that is up already has the shape that it has.
    """

    root: Path
    slot: Slot = field(default_factory=lambda: Slot(first_slot()))
    wanted: Shape = Shape.USUAL

    @property
    def project(self) -> str:
        """The slot's compose project."""
        return self.slot.project

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
        return not self.shape.is_notebook and os.environ.get(IMAGES_CHOICE) == "official"

    @property
    def files(self) -> list[Path]:
        """The compose files, including the application's once its repository exists."""
        staging, shape = self.root / "staging", self.shape.built_as
        files = shape.store_files(staging)
        if self.official:
            files.insert(1, staging / "compose.official.yaml")
        return [
            *files,
            *(file for file in shape.application_files(self.state.application) if file.exists()),
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

    @property
    def services(self) -> ComposeStack | SwarmStack:
        """The stack's services, on the engine of its shape."""
        return SwarmStack(self) if self.shape is Shape.SWARM else ComposeStack(self)

    def down(self, report: Report) -> None:
        """Remove all that is there of the stack and of its scratch instance, its lock and its mark.

        Raises:
            Problem: A part of the stack is left.
        """
        report("taking the stack down")
        self.services.down()
        self.mark.unlink(missing_ok=True)
