"""Fuzz targets: input from outside, made up. Their settings are those of the laws in `tests.unit.laws`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.unit.conftest import nothing_is_known

__all__ = ["nothing_is_known"]

HERE = Path(__file__).parent
MOST_KIB = 500_000
# Thousands of examples of a record take an hour, and more where machines are busy.
SECONDS = 8 * 3600.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of these tests the time that many examples take."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(autouse=True)
def _modest() -> Iterator[None]:
    """See that no input of a night took much memory; other tests, in the same process, may."""
    before = _highest()
    yield
    if settings.get_current_profile_name() == "night":
        assert _highest() <= max(before, MOST_KIB)


def _highest() -> int:
    """Return the most memory of this program so far, in KiB; `getrusage` counts who started it, too."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return int(found[1])
