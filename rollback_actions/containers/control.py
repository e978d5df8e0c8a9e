"""Opens the write side of the engine that a profile describes."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import cast

from rollback_actions.containers.compose import ComposeControl
from rollproof.profile.profile import Engine


def open_control(profile: Engine) -> ComposeControl:
    """Return the actions on the containers of the engine that `profile` describes."""
    return cast("ComposeControl", resolve_name(profile.of_kind.control)(profile))
