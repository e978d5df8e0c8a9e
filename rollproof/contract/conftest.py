"""Gives the contract the subjects that distributions name in the group of entry points `GROUP`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from rollproof.contract.subject import ONLY, Subject, before, content, filled, mended, parametrize

__all__ = ["before", "content", "mended"]

GROUP = "rollproof.contract"
SUBJECTS: dict[str, type[Subject]] = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
if not SUBJECTS:
    raise pytest.UsageError(f"entry points {GROUP}: expected a store, observed none\nHINT: pip list")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", ONLY)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its stores, and their cases."""
    parametrize(metafunc, SUBJECTS)


@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """A store, filled. Who changes its records uses `mended` too."""
    with filled(SUBJECTS[request.param](tmp_path_factory.mktemp("subject"))) as subject:
        yield subject
