"""The contracts of exports and keepers for this one subject, which needs no stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from rollproof.profile.profile import Target
from tests.stack.keeping.contract import MARKERS, kept, latest, parametrize
from tests.stack.keeping.subject import Bench, Subject
from tests.unit.toy_store.keeping.subject import Folder
from tests.unit.toy_store.made_up import CONTROL, ENGINE, STACK

__all__ = ["kept", "latest"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers of these tests."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the folder, and its cases."""
    parametrize(metafunc, {"folder": Folder})


@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """The folder."""
    assert request.param == "folder"
    bench = Bench(STACK, cast("Target", None), ENGINE, CONTROL, tmp_path_factory.mktemp("subject"))
    with ExitStack() as opened:
        yield Folder(bench, opened)
