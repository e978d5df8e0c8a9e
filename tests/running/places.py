"""Places of workers, each with a stack of its own: one that replaces a crashed worker takes its place."""

from __future__ import annotations

from typing import Any

import pytest

PLACE = "rollproof_place"
"""Of a worker's input: its place, from 0 on."""


class Places:
    """Pytest plugin of a controller of workers."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist has no types
        """Give a new worker the first free place."""
        taken = self._taken.values()
        place = next(place for place in range(len(taken) + 1) if place not in taken)
        self._taken[node.gateway.id] = node.workerinput[PLACE] = place

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist has no types
        """Free the place of a worker that has ended."""
        self._taken.pop(node.gateway.id, None)
