"""A store at a time, filled once, with all the contract's tests of it and those of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollproof.contract.subject import ONLY, before, content, filled, mended, parametrize
from tests.running.cut import VARIANT
from tests.stack.stores.registry import SUBJECTS
from tests.stack.stores.subject import Given, Subject

__all__ = ["before", "content", "mended"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", ONLY)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its stores, and their cases."""
    parametrize(metafunc, SUBJECTS, _marks)


def _marks(subject: type[Subject], varied: bool) -> list[pytest.MarkDecorator]:  # noqa: FBT001
    return [VARIANT] * (varied or subject.variant)


@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, given: Given) -> Iterator[Subject]:
    """A store, filled. Who changes its records uses `mended` too."""
    with filled(SUBJECTS[request.param](given)) as subject:
        yield subject
