"""A project with the plugin, whose runs of pytest are processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin_sandbox import UNRENDERED, Apart


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    return Apart(tmp_path)


@pytest.fixture
def recorded(apart: Apart) -> Apart:
    """Each run writes its record, without pictures and report.html."""
    apart.recorded()
    apart.settings(UNRENDERED)
    return apart
