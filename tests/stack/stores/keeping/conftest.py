"""The subjects of the contract, one after the other, and a backup of each that its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from staging.stack.stack import Stack
from tests.stack.stores.keeping.contract import MARKERS, kept, latest, parametrize
from tests.stack.stores.keeping.registry import SUBJECTS
from tests.stack.stores.keeping.subject import Bench, Subject

__all__ = ["kept", "latest"]

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers of these tests."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its subjects, and their cases."""
    parametrize(metafunc, SUBJECTS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of one subject together, which is opened once, and those of one kind of backup."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    for place, item in zip(places, sorted((items[place] for place in places), key=_order), strict=True):
        items[place] = item


def _order(item: pytest.Item) -> tuple[int, str, int, int]:
    assert isinstance(item, pytest.Function)
    store = str(item.callspec.params["subject"])
    kinds = SUBJECTS[store].kinds
    kind = kinds.index(str(item.callspec.params.get("kind", kinds[0])))
    return list(SUBJECTS).index(store), item.path.name, kind, item.function.__code__.co_firstlineno


@pytest.fixture(scope="session")
def bench(
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    """What a subject is made of."""
    return Bench(stack, target, engine, control, tmp_path_factory.mktemp("subjects"))


# For the package, not for the session: on the same worker others use the same names.
@pytest.fixture(scope="package")
def subject(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Subject]:
    """The subject whose turn it is."""
    with ExitStack() as opened:
        yield SUBJECTS[request.param](bench, opened)
