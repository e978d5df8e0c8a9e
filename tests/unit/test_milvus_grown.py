"""What a backup of Milvus holds when users went on while it was taken."""

from __future__ import annotations

import pytest

from rollback_actions.stores.milvus.keeper import _Collection, _Details

BEFORE = {"old": _Collection(loaded=True, records=3), "going": _Collection(loaded=True, records=1)}
AFTER = {
    "old": _Collection(loaded=True, records=5),
    "going": None,
    "new": _Collection(loaded=True, records=1),
}
KEPT = _Details(server="2.3.5", collections=BEFORE, grown=dict(AFTER))


def _found(**collections: _Collection | None) -> _Details:
    found = {**BEFORE, **collections}
    return _Details(server="2.3.5", collections={name: one for name, one in found.items() if one is not None})


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (_found(), True),
        (_found(old=_Collection(loaded=True, records=4)), True),
        (_found(old=_Collection(loaded=True, records=6)), False),
        (_found(old=_Collection(loaded=True, records=2)), False),
        (_found(old=None), False),
        (_found(going=None), True),
        (_found(new=_Collection(loaded=False, records=None)), True),
        (_found(new=_Collection(loaded=True, records=2)), False),
        (_found(other=_Collection(loaded=True, records=0)), False),
    ],
)
def test_a_restore_is_between_what_was_there_before_and_after(found: _Details, *, held: bool) -> None:
    assert KEPT.holds(found) is held
