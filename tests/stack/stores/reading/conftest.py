"""A store at a time, filled once, with all the contract's tests of it and those of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.contract.cases import ONLY, before, content, filled, mended, parametrize
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from staging.stack.stack import Stack
from tests.running.cut import VARIANT
from tests.stack.stores.reading.registry import SUBJECTS
from tests.stack.stores.reading.subject import Given, Subject

__all__ = ["before", "content", "mended"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", ONLY)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its stores, and their cases."""
    parametrize(metafunc, SUBJECTS, _marks)


def _marks(subject: type[Subject], varied: bool) -> list[pytest.MarkDecorator]:  # noqa: FBT001
    return [VARIANT] * (varied or subject.variant)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of one store together, in the order of their files and tables: it is filled once."""
    places = [place for place, item in enumerate(items) if "subject" in _params(item)]
    for place, item in zip(places, sorted((items[place] for place in places), key=_order), strict=True):
        items[place] = item


def _order(item: pytest.Item) -> tuple[int, str, int, int]:
    store, (file, line, _) = _params(item)["subject"], item.location
    return list(SUBJECTS).index(store), file, line or 0, item.callspec.indices["subject"]  # type: ignore[attr-defined]


def _params(item: pytest.Item) -> dict[str, str]:
    found: dict[str, str] = item.callspec.params if hasattr(item, "callspec") else {}
    return found


@pytest.fixture(scope="package")
def subject(
    request: pytest.FixtureRequest,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Subject]:
    """A store, filled. Who changes its records uses `mended` too."""
    given = Given(stack, target, engine, control, tmp_path_factory.mktemp("subject"))
    with filled(SUBJECTS[request.param](given)) as subject:
        yield subject
