"""Opens the write side of the engine that a profile describes."""

from __future__ import annotations

import shlex
from pkgutil import resolve_name
from typing import cast

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.by_hand import by_hand
from rollproof.errors import UsageProblem
from rollproof.profile.profile import Engine


def open_control(profile: Engine) -> ComposeControl:
    """Return the actions on the containers of the engine that `profile` describes.

    Raises:
        UsageProblem: targets of that kind of engine are verified, and not changed.
    """
    if not profile.of_kind.control:
        raise UsageProblem(
            what="action on the target",
            expected="an engine of kind compose or swarm",
            observed=profile.kind,
            source="engine.kind of the profile",
            hint=f"do it by hand: {shlex.join(by_hand(profile).logs(()))}",
        )
    return cast("ComposeControl", resolve_name(profile.of_kind.control)(profile))
