"""What a check expects: both sides are kept whatever the result, and said once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.gating.evidence import Expect, Sides
from rollproof.errors import Mismatch
from tests.conftest import ROOT


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


def _twice(source: str) -> Iterator[str]:
    """Yield where the words of `expected` are said again as what is observed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            said = {one.arg: one.value for one in node.keywords}
            match said.get("expected"), said.get("observed"):
                case ast.Constant(value=str(text)), ast.expr() as observed:
                    words = {one.value for one in ast.walk(observed) if isinstance(one, ast.Constant)}
                    if text in words:
                        yield f"{node.lineno}: {text}"


def test_no_check_says_what_it_expects_twice() -> None:
    paths: list[Path] = sorted((ROOT / "checks").rglob("*.py"))
    found = {str(path): [*_twice(path.read_text(encoding="utf-8"))] for path in paths}
    assert not {path: twice for path, twice in found.items() if twice}


@pytest.mark.parametrize(
    "observed", ["'none'", "listed(extra) or 'none'", "'none' if not extra else listed(extra)"]
)
def test_what_is_said_twice_is_found(observed: str) -> None:
    assert [*_twice(f"expect(not extra, expected='none', observed={observed})")]
    assert not [*_twice("expect(not extra, expected='none', instead=listed(extra))")]
