"""The capture of a baseline: collections that users make meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from fixtures.errors import Unverifiable
from fixtures.stores.contract import StoreView
from rollback_actions.backup import capture
from rollback_actions.backup.capture import counts_of


class _Young:
    """A view in the place of a store's: a collection is being made, and loaded after a few counts."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def counts(self) -> Mapping[str, int]:
        if self.refusals:
            self.refusals -= 1
            raise Unverifiable(
                what="count", expected="a number", observed="not loaded", source="milvus", hint="load"
            )
        return {"old": 3, "young": 1}


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> _Young:
    monkeypatch.setattr(capture, "POLL_SECONDS", 0.0)
    return _Young(refusals=2)


def test_a_collection_that_is_being_made_is_waited_for(view: _Young) -> None:
    assert counts_of(cast("StoreView", view)) == {"old": 3, "young": 1}


def test_one_that_cannot_be_counted_is_not_waited_for_without_end(
    view: _Young, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "YOUNG_SECONDS", 0.0)
    with pytest.raises(Unverifiable, match="not loaded"):
        counts_of(cast("StoreView", view))
