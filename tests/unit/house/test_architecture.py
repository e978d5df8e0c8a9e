"""The house, where import-linter does not hold it: what is declared, and its hooks."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from itertools import chain

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fixtures.hooks import HOOKS
from tests.conftest import ROOT


def test_the_lock_satisfies_what_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = declared["project"]
    operators = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    developers = declared["dependency-groups"]["dev"]
    for name, wanted in (("requirements", [*operators, *developers]), ("operators", operators)):
        locked = _locked(name)
        found = {text: locked.get(canonicalize_name(Requirement(text).name)) for text in wanted}
        assert not {
            text: version
            for text, version in found.items()
            if version is None or not Requirement(text).specifier.contains(version)
        }
    # What operators have is what was tested, and nothing of the developers' own.
    assert _locked("operators").items() <= _locked("requirements").items()
    assert not _own(developers) & {*_locked("operators")}


def _locked(name: str) -> dict[str, str]:
    """Return the versions of the lock `name`, by package."""
    lock = (ROOT / f"{name}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE))


def _own(developers: list[str]) -> set[str]:
    """Return the packages of developers that no library of an operator's needs as well."""
    shared = {"numpy", "packaging", "pyyaml"}
    return {str(canonicalize_name(Requirement(text).name)) for text in developers} - shared


_PLUGIN = ROOT / "rollproof/plugin.py"


def test_the_table_of_hooks_names_each_hook_and_its_plugins() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (*(ROOT / "fixtures").rglob("*.py"), *(ROOT / "reports").rglob("*.py"), _PLUGIN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_"):
                found[node.name].add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert {name: set(plugins) for name, plugins in HOOKS.items()} == found
