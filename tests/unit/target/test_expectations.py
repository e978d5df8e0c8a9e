"""What a check expects: both sides are kept whatever the result, and said once."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.gating.evidence import Expect, Sides
from rollproof.errors import Mismatch


@pytest.mark.parametrize(
    ("said", "holding", "failing"),
    [
        ({"observed": 3}, "3", "3"),
        ({"instead": "five"}, "four", "five"),
        ({"observed": 4, "instead": "five"}, "4", "five"),
        # Nothing at all is something that can be observed.
        ({"observed": ""}, "", ""),
        ({"observed": 0}, "0", "0"),
    ],
)
def test_both_sides_are_kept(said: dict[str, Any], holding: str, failing: str) -> None:
    sides: list[Sides] = []
    expect = Expect(sides, source="here", hint="mend it")
    expect(True, what="w", expected="four", **said)
    with pytest.raises(Mismatch) as raised:
        expect(False, what="w", expected="four", **said)
    assert sides == [Sides("four", holding), Sides("four", failing)]
    assert str(raised.value.observed) == failing


@pytest.mark.parametrize("holds", [True, False])
def test_its_author_says_what_is_observed(*, holds: bool) -> None:
    with pytest.raises(TypeError, match="w: an expectation says what is observed"):
        Expect([], source="here", hint="mend it")(holds, what="w", expected="four")
