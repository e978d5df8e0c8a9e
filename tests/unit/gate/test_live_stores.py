"""How checks ask the target's stores."""

from __future__ import annotations

from threading import Barrier
from types import SimpleNamespace
from typing import Any, cast

from fixtures.stores import LiveStores
from rollproof.collection import Case

SECONDS = 60.0


def test_collections_of_one_store_are_asked_side_by_side() -> None:
    """One after the other, a phase would take as long as all its searches together."""
    live = LiveStores(cast("Any", SimpleNamespace(stores={})), cast("Any", None))
    met = Barrier(2)
    found = live.ask_each("search", [Case("a", "x"), Case("a", "y")], lambda _: met.wait(SECONDS) in {0, 1})
    assert found == {"a/x": True, "a/y": True}
