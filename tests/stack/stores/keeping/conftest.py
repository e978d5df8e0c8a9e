"""The subjects of the contract, one after the other, and a backup of each that its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollproof.contract.subject import ONLY
from tests.stack.stores.keeping.contract import MARKERS, kept, latest, parametrize
from tests.stack.stores.registry import SUBJECTS
from tests.stack.stores.subject import Given, Subject

__all__ = ["kept", "latest"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers of these tests."""
    for line in (*MARKERS, ONLY):
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its subjects, and their cases."""
    parametrize(metafunc, SUBJECTS)


# For the package, not for the session: on the same worker others use the same names.
@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, given: Given) -> Iterator[Subject]:
    """The subject whose turn it is, in its place."""
    subject = SUBJECTS[request.param](given)
    try:
        subject.settle()
        yield subject
    finally:
        subject.leave()
