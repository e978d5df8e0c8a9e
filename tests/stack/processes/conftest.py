"""A project with the plugin, whose runs of pytest are processes; and what is shared with the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin_sandbox import UNRENDERED, Apart
from tests.unit.conftest import (
    away,
    commands_are_built_once,
    history,
    incident,
    made,
    no_disk_is_waited_for,
    nothing_is_known,
    place,
    releases,
    rolled,
    run,
    sandbox,
    server,
    stopped_clock,
    target,
)

__all__ = [
    "away",
    "commands_are_built_once",
    "history",
    "incident",
    "made",
    "no_disk_is_waited_for",
    "nothing_is_known",
    "place",
    "releases",
    "rolled",
    "run",
    "sandbox",
    "server",
    "stopped_clock",
    "target",
]


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    return Apart(tmp_path)


@pytest.fixture
def recorded(apart: Apart) -> Apart:
    """Each run writes its record, without pictures and report.html."""
    apart.recorded()
    apart.settings(UNRENDERED)
    return apart
