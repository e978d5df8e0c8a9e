"""Stores next to the staging stack, without an application; the tests of each share a worker."""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.stack.stores.registry import SUBJECTS
from tests.stack.stores.subject import Given

# The tests of a contract begin their parameters with the store.
OF_A_STORE = re.compile(r"tests/stack/stores/(?P<contract>\w+)/test_\w+\.py.*?\[(?P<store>[a-z0-9]+)")
# By contract and store: their servers are not the stack's, so that nobody takes turns with them.
APART = re.compile("(reading|keeping) (postgresql|mounts|mariadb)|keeping milvus")


class ByStore(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests of one store share a worker: ``--dist loadscope`` with a store in the place of a module.

    Groups of ``--dist loadgroup`` are part of a test's name, which pytest 9.2 does not let xdist 3.8 change.
    """

    def _split_scope(self, nodeid: str) -> str:
        if found := OF_A_STORE.match(nodeid):
            name = f"{found['contract']} {found['store']}"
            return name if APART.fullmatch(name) else found["store"]
        scope: str = super()._split_scope(nodeid)
        return scope


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of one store and contract together, and of these those of one kind of backup."""
    places = [place for place, item in enumerate(items) if "subject" in _params(item)]
    for place, item in zip(places, sorted((items[place] for place in places), key=_order), strict=True):
        items[place] = item


def _order(item: pytest.Item) -> tuple[int, str, int, int]:
    params, (file, line, _) = _params(item), item.location
    kinds = SUBJECTS[params["subject"]].kinds
    kind = kinds.index(params["kind"]) if "kind" in params else 0
    return list(SUBJECTS).index(params["subject"]), file, kind, line or 0


def _params(item: pytest.Item) -> dict[str, str]:
    found: dict[str, str] = item.callspec.params if hasattr(item, "callspec") else {}
    return found


@pytest.fixture(scope="session")
def stack(stack: Stack) -> Stack:
    """The stores of the slot behind the stack's; where that is not up, those of the stack."""
    next_slot = Stack(ROOT, stack.slot.next)
    next_slot.prepare()
    return next_slot if next_slot.services.used() else stack


@pytest.fixture(scope="session")
def given(
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Given:
    """What a subject is made with."""
    return Given(stack, target, engine, control, tmp_path_factory.mktemp("subjects"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStore | None:
    """Hand the tests out by store."""
    return ByStore(config, log) if config.getoption("dist") == "loadscope" else None
