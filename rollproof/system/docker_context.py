"""The context of `docker`: which engine its command line asks. The SDK gets the same one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rollproof.reading import read_regular

DEFAULT = "default"
"""The context of DOCKER_HOST, else of this host's own engine."""


def context_name() -> str:
    """Return the context's name, as `docker` finds it: by DOCKER_HOST, DOCKER_CONTEXT, its own settings."""
    if os.environ.get("DOCKER_HOST"):
        return DEFAULT
    return os.environ.get("DOCKER_CONTEXT") or _used() or DEFAULT


def _used() -> str | None:
    """Return the context in docker's own settings, or None; `docker` ignores settings that it cannot read."""
    try:
        folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
        settings = json.loads(read_regular(Path(folder) / "config.json"))
    except (OSError, ValueError, RuntimeError):
        return None
    name = settings.get("currentContext") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else None
