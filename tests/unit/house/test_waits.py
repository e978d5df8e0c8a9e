"""No test of the default tiers measures the machine, and a unit test starts nothing.

A rule about time takes a clock that is passed in, one about order takes events; a deadline is 60 s, or none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

SHORTEST_SECONDS = 10
# Modules that start processes, or reach over a network.
APART = frozenset({"multiprocessing", "socket", "subprocess"})
MEASURES = frozenset({"sleep", "perf_counter"})
# Calls whose first argument, or `timeout`, is how long they wait.
WAITS = frozenset({"wait", "wait_for", "join", "result", "communicate", "poll"})


def wrong(text: str, *, starts_nothing: bool) -> Iterator[str]:
    """Yield the lines of a module that wait for the machine, or start something."""
    for node in ast.walk(ast.parse(text)):
        for found in (*_of_call(node), *(_of_import(node) if starts_nothing else ())):
            yield f"line {getattr(node, 'lineno', 0)}: {found}"


def _of_call(node: ast.AST) -> Iterator[str]:
    """Yield what is wrong with a call of `time`, or with a wait."""
    match node:
        case ast.ImportFrom(module="time", names=names):
            yield from (f"time.{name.name}" for name in names if name.name in MEASURES)
        case ast.Attribute(value=ast.Name(id="time"), attr=attr) if attr in MEASURES:
            yield f"time.{attr}"
        case ast.Call(func=func, args=args, keywords=keywords):
            name = func.attr if isinstance(func, ast.Attribute) else ""
            named = [keyword.value for keyword in keywords if keyword.arg == "timeout"]
            waited = (*(args[:1] if name in WAITS else []), *named)
            yield from (f"{name} of {value} s" for value in map(_seconds, waited) if value)


def _seconds(node: ast.expr) -> float | None:
    """Return a literal number of seconds that is too short, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value) if 0 < node.value < SHORTEST_SECONDS else None
    return None


def _of_import(node: ast.AST) -> Iterator[str]:
    """Yield the modules of `APART` that are imported."""
    names: list[str | None] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module]
    yield from (name for name in names if name and name.partition(".")[0] in APART)


@pytest.mark.parametrize("tier", ["unit", "stack"])
def test_no_test_waits_for_the_machine(tier: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}, {one}"
        for path in sorted((ROOT / "tests" / tier).rglob("*.py"))
        for one in wrong(path.read_text(encoding="utf-8"), starts_nothing=tier == "unit")
    ]
    assert not found, "\n".join(found)
