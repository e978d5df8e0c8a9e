"""A container that runs, as a container engine describes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollproof.engines.engine import Container


def container(name: str = "once-1", **changes: Any) -> Container:  # noqa: ANN401 - its fields
    """Return a container of the service that its name begins with, with some fields changed."""
    running = Container(
        id=f"id of {name}",
        name=name,
        service=name.rpartition("-")[0],
        running=True,
        status="running",
        health=None,
        restarts=0,
        restarting=False,
        oom_killed=False,
        exit_code=0,
        started="2026-01-01T00:00:00Z",
        image="i",
        image_id="sha256:i",
        revision=None,
        configuration=None,
        pids_limit=0,
        mounts=(),
        restart="no",
    )
    return replace(running, **changes)
