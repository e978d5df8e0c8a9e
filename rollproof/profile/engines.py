"""The kinds of container engine and of hosts that a profile may name. A text is a place, ``module:name``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, PositiveFloat

from rollproof.profile.sections import Model
from rollproof.redaction.secret import ExistingFile


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One kind of container engine; a place is imported at its first use, and the engine's SDK with it."""

    view: str
    """What returns the `ContainerEngine` of a profile's `Engine`."""
    control: str
    """Class of the actions on containers, made with a profile's `Engine`; for `rollback_actions` alone."""
    by_hand: str
    """Class of `ByHand`, made with a profile's `Engine`."""
    client: tuple[str, str] = ("docker compose", "version")
    """The program that a person asks the engine with, and the option that prints its version."""
    has_volumes: bool = True
    """Whether it keeps volumes: empty ones with labels are the lock of a target."""
    runs_tasks: bool
    """Whether it runs a service as tasks, whose image a registry names at each deployment."""
    has_nodes: bool
    """Whether its containers move between hosts, and their volumes do not."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """The checks that it cannot answer, each with the reason; what they ask is not covered."""


ENGINE_KINDS: Mapping[str, EngineKind] = {
    "compose": EngineKind(
        view="rollproof.engines.compose:ComposeEngine.of_profile",
        control="rollback_actions.containers.compose:ComposeControl",
        by_hand="rollproof.engines.by_hand:ComposeByHand",
        runs_tasks=False,
        has_nodes=False,
    ),
    "swarm": EngineKind(
        view="rollproof.engines.swarm.swarm:SwarmEngine",
        control="rollback_actions.containers.swarm:SwarmControl",
        by_hand="rollproof.engines.by_hand:SwarmByHand",
        runs_tasks=True,
        has_nodes=True,
        lacks={"test_next_start_is_as_it_runs": "a swarm's registry says at a deployment what a tag means"},
    ),
    "supervisor": EngineKind(
        view="rollproof.engines.supervisor:SupervisorEngine",
        control="",
        by_hand="rollproof.engines.by_hand:SupervisorByHand",
        client=("supervisorctl", "version"),
        has_volumes=False,
        runs_tasks=False,
        has_nodes=False,
        lacks={
            "test_next_start_is_as_it_runs": "Supervisor has no images",
            "test_container_is_unchanged_inside": "a process has no files of its own",
            "test_no_stranger_on_the_networks": "all processes of a machine share its network",
            "test_container_processes": "Supervisor limits no number of processes",
            "test_container_was_not_killed_for_memory": "Supervisor does not say what a signal was for",
        },
    ),
}
"""The engines by kind. `control` is "" of one whose targets are verified, and not rolled back yet."""


class HostProfile(Model):
    """Another machine of the target. Phase 1 asks it over SSH."""

    address: Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_-]*@)?[A-Za-z0-9.\[\]:-]+$")]
    """`USER@NAME:PORT`, or a part of it. OpenSSH's configuration has the rest: keys and known hosts."""
    ssh_config: ExistingFile | None = None
    """OpenSSH's configuration file (default: your own)."""
    paths: Annotated[tuple[Annotated[str, Field(pattern="^/")], ...], Field(min_length=1)] = ("/",)
    """Paths whose file systems must have space and inodes left."""
    engine: bool = True
    """Whether a container engine must answer there, to that user."""
    deadline_seconds: PositiveFloat = 10.0
    """Seconds that one question may take."""
