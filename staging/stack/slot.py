"""A slot: one of the staging stacks that can run side by side on one machine.

Each slot has its own project, ports, state folder and profile; the stores' images are shared.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import UsageProblem
from staging.stack.shape import Shape

PROJECT = "rollproof-staging"
CHOICE = "ROLLPROOF_SLOT"
# Each slot has two hundred ports, its scratch instance's included, all below the kernel's own range.
SLOTS = 5
_FIRST_PORTS = 22
_FIRST_URL_PORT = 8090
# How a profile on compose becomes one on the swarm of `swarm.sh`.
_ON_SWARM = (
    ('kind = "compose"', 'kind = "swarm"\nnodes = {node-b = "node-b"}'),
    (f"/compose.{Shape.NOTEBOOK}.yaml", "/stack.yaml"),
    ("/application/compose.yaml", "/application/stack.yaml"),
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a checkout: `number` counts from 1, the slot that a person uses."""

    number: int = 1

    @property
    def next(self) -> Slot:
        """The slot behind this one; behind the last is the first."""
        return Slot(self.number % SLOTS + 1)

    @property
    def project(self) -> str:
        """The compose project, and the namespace of the application's images."""
        return PROJECT if self.number == 1 else f"{PROJECT}-{self.number}"

    @property
    def ports(self) -> int:
        """The first digits of the stores' ports: 22 in 22306."""
        return _FIRST_PORTS + 2 * (self.number - 1)

    @property
    def scratch_ports(self) -> int:
        """The first digits of the ports of the stores' scratch instance."""
        return self.ports + 1

    @property
    def url_port(self) -> int:
        """The port of the application."""
        return _FIRST_URL_PORT + self.number - 1

    @property
    def channel_port(self) -> int:
        """The port of the team's channel."""
        return int(f"{self.ports}999")

    @property
    def channel_address(self) -> str:
        """The address of the team's channel, in Apprise's form.

        >>> Slot().channel_address
        'json://127.0.0.1:22999/'
        """
        return f"json://127.0.0.1:{self.channel_port}/"

    @property
    def settings(self) -> dict[str, object]:
        """The variables of the compose files, by name."""
        return {
            "STAGING_PROJECT": self.project,
            "STAGING_PORTS": self.ports,
            "STAGING_SCRATCH_PORTS": self.scratch_ports,
            "STAGING_URL_PORT": self.url_port,
        }

    def folder(self, root: Path) -> Path:
        """The folder of the slot's state in the checkout `root`."""
        state = root / ".staging"
        return state if self.number == 1 else state / f"slot-{self.number}"

    def profile(self, root: Path, shape: Shape = Shape.USUAL) -> Path:
        """The profile of the slot's target; `State` writes it, except the first slot's on compose."""
        if shape is Shape.SWARM:
            return self.folder(root) / f"{shape}.toml"
        return root / shape.profile if self.number == 1 else self.folder(root) / shape.profile.name

    def profile_text(self, root: Path, shape: Shape = Shape.USUAL) -> str:
        """The first slot's profile with absolute paths, and with this slot's names and ports."""
        folder = self.folder(root)
        text = (root / shape.profile).read_text(encoding="utf-8")
        for old, new in (
            ("../../.staging/", f"{folder}/"),
            ("../../incidents", f"{folder}/incidents"),
            ("../../staging/", f"{root}/staging/"),
            (f'"{PROJECT}"', f'"{self.project}"'),
            (f":{_FIRST_URL_PORT}", f":{self.url_port}"),
            ('"{commit}"]', f'"{{commit}}", "--slot={self.number}"]'),
            *(_ON_SWARM if shape is Shape.SWARM else ()),
        ):
            text = text.replace(old, new)
        return text


def first_slot() -> int:
    """Return the slot that a command uses first: ROLLPROOF_SLOT, else 1.

    Raises:
        UsageProblem: the environment names no slot.
    """
    named = os.environ.get(CHOICE, "1")
    if named not in {str(number) for number in range(1, SLOTS + 1)}:
        raise UsageProblem(
            what="slot of the staging stack",
            expected=f"a number from 1 to {SLOTS}",
            observed=named,
            source=CHOICE,
            hint=f"unset {CHOICE} to use the first",
        )
    return int(named)
