"""Opens the view of the engine that a profile describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.profile import Engine


def open_engine(profile: Engine) -> ContainerEngine:
    """Return the read-only view of the engine that `profile` describes."""
    # The engine's SDK only where it is used.
    if profile.kind == "swarm":
        from rollproof.engines.swarm.swarm import SwarmEngine  # noqa: PLC0415

        return SwarmEngine(profile)
    from rollproof.engines.compose import ComposeEngine  # noqa: PLC0415

    return ComposeEngine(profile.project, profile.deadline_seconds, profile.changing)
