"""The house, where no linter holds it: what is declared, its hooks, and that no test measures the machine."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fixtures.hooks import HOOKS
from rollproof.baseline.demands import COMPARING, OF_FULL_GATE
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


OPTIONAL = {
    "matplotlib": ("reports/pictures/",),
    "pymilvus": ("rollproof/stores/milvus/",),
    "grpc": ("rollproof/stores/milvus/",),
    "testinfra": ("rollproof/engines/ssh.py",),
    "distributed": ("rollproof/scale/",),
}
"""The libraries that a target may do without, and the only places that import them as they are imported."""


def test_a_library_that_is_optional_is_imported_where_it_is_used_alone() -> None:
    rooms = ("rollproof", "fixtures", "checks", "reports", "rollback_actions")
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                first = node.names[0].name if isinstance(node, ast.Import) else node.module or ""
                places = OPTIONAL.get(first.partition(".")[0])
                assert places is None or name.startswith(places), f"{name} imports {first}"


def test_each_check_that_may_be_left_out_by_its_name_exists() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "checks").rglob("test_*.py")]
    checks = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert {*COMPARING, *OF_FULL_GATE} <= checks


_PLUGIN = ROOT / "rollproof/plugin.py"


def test_the_table_of_hooks_names_each_hook_and_its_plugins() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (*(ROOT / "fixtures").rglob("*.py"), *(ROOT / "reports").rglob("*.py"), _PLUGIN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_"):
                found[node.name].add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert {name: set(plugins) for name, plugins in HOOKS.items()} == found


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
