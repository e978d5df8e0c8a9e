"""Stores beside the staging stack, without an application; the tests of each share a worker."""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

from staging.stack.stack import Stack
from tests.conftest import ROOT

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


@pytest.fixture(scope="session")
def stack(stack: Stack) -> Stack:
    """The stores of the slot behind the stack's; where that is not up, those of the stack."""
    beside = Stack(ROOT, stack.slot.next)
    beside.prepare()
    return beside if beside.services.used() else stack


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStore | None:
    """Hand the tests out by store."""
    return ByStore(config, log) if config.getoption("dist") == "loadscope" else None
