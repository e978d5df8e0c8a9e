"""A project with the plugin, whose runs of pytest are processes; and what is shared with the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin_sandbox import UNRENDERED, Apart
from tests.real_git import git
from tests.unit.conftest import (
    away,
    commands_are_built_once,
    incident,
    made,
    no_disk_is_waited_for,
    nothing_is_known,
    place,
    run,
    server,
    stopped_clock,
    target,
)
from tests.world.sandbox import Releases, Sandbox, make_releases, make_sandbox

__all__ = [
    "away",
    "commands_are_built_once",
    "incident",
    "made",
    "no_disk_is_waited_for",
    "nothing_is_known",
    "place",
    "run",
    "server",
    "stopped_clock",
    "target",
]


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """The files that every sandbox is a copy of, on git itself; nobody changes them."""
    return make_releases(tmp_path_factory.mktemp("releases"), git)


@pytest.fixture
def sandbox(tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return make_sandbox(tmp_path, releases)


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    return Apart(tmp_path)


@pytest.fixture
def recorded(apart: Apart) -> Apart:
    """Each run writes its record, without pictures and report.html."""
    apart.recorded()
    apart.settings(UNRENDERED)
    return apart
