"""Opens the write side of the engine that a profile describes."""

from __future__ import annotations

from rollback_actions.containers.compose import ComposeControl
from rollproof.profile.profile import Engine


def open_control(profile: Engine) -> ComposeControl:
    """Return the actions on the containers of the engine that `profile` describes."""
    if profile.kind == "swarm":
        from rollback_actions.containers.swarm import SwarmControl  # noqa: PLC0415 - where there is one

        return SwarmControl(profile)
    return ComposeControl(profile)
