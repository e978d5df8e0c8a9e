"""The table of hooks names each one that our plugins have."""

from __future__ import annotations

import ast
from collections import defaultdict

from fixtures.hooks import HOOKS
from tests.conftest import ROOT

_PLUGIN = ROOT / "rollproof/plugin.py"


def test_the_table_of_hooks_names_each_hook_and_its_plugins() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (*(ROOT / "fixtures").rglob("*.py"), *(ROOT / "reports").rglob("*.py"), _PLUGIN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_"):
                found[node.name].add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert {name: set(plugins) for name, plugins in HOOKS.items()} == found
