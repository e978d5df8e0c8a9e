"""The contract of readers for this one subject, which needs no stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from rollproof.profile.profile import Target
from tests.stack.reading.contract import ONLY, before, content, filled, mended, parametrize
from tests.stack.reading.subject import Given, Subject
from tests.unit.toy_store.made_up import CONTROL, ENGINE, STACK
from tests.unit.toy_store.reading.subject import Folder

__all__ = ["before", "content", "mended"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", ONLY)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the folder, and its cases."""
    parametrize(metafunc, {"folder": Folder})


@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """The folder, filled."""
    assert request.param == "folder"
    given = Given(STACK, cast("Target", None), ENGINE, CONTROL, tmp_path_factory.mktemp("subject"))
    with filled(Folder, given) as subject:
        yield subject
