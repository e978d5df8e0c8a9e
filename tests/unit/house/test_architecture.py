"""The house, where import-linter does not hold it: no module decides by a kind of store; what is declared."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rollproof.profile.kinds import kinds
from tests.conftest import ROOT

ROOMS = ("benchmarks", "checks", "fixtures", "reports", "rollback_actions", "rollproof", "staging")
MODULES = {
    path: ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if path.relative_to(ROOT).parts[:2] not in {("staging", "application"), ("staging", "images")}
}

KINDS = frozenset(kinds())
# Their own words too; "mounts" is also what containers have.
OF_A_KIND = re.compile(
    rf"(?<![a-z])(?:{'|'.join(KINDS - {'mounts'})}|mariadb|mongo|valkey|minio|bucket|topic|broker)s?(?![a-z])"
    r"|\bkind = [\"']",
    re.IGNORECASE,
)
OF_ONE_KIND = {descriptor.profile.__name__ for descriptor in kinds().values()}


def test_nothing_of_the_house_is_there_for_its_tests_alone() -> None:
    """What only tests need lies in `tests`. What has a decorator is found by it, as a fault is."""
    commands = (ROOT / "tests" / "running").glob("*.py")  # of `./run tests`
    texts = {path: path.read_text(encoding="utf-8") for path in (*MODULES, *commands)}
    words = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
    alone = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, text in texts.items()
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.decorator_list
        and not node.name.startswith(("test_", "pytest_"))
        and words[node.name] == 1
    ]
    assert not alone


def _of_a_store(name: str) -> bool:
    """Tell whether a module is in the package of a store."""
    room, stores, *kind = name.split(".")[:3]
    return (room, stores) == ("rollproof", "stores") and kind[0] in KINDS


def _switches(source: str) -> Iterator[str]:
    """Yield where `source` decides by the kind of a store: names a kind, its section, or its package.

    Or speaks of one to a user, who may have another: docstrings alone may give examples.
    """
    nodes = [*ast.walk(ast.parse(source))]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if text in KINDS or (
                id(node) not in docstrings and OF_A_KIND.search(text)
            ):
                yield f"{node.lineno}: names {text}"
            case ast.Name(id=name) | ast.alias(name=name) | ast.Attribute(attr=name) if name in OF_ONE_KIND:
                yield f"{node.lineno}: names {name}"
            case ast.ImportFrom(module=str(name)) if _of_a_store(f"{name}.."):
                yield f"{node.lineno}: imports {name}"
            case _:
                pass


NAMES_A_KIND: Mapping[str, tuple[int, str]] = {
    "rollproof/profile/profile.py": (1, "a variable of the test stack begins like those of a profile"),
    "rollproof/cli/after_commands.py": (1, "an example has a store called so"),
    "rollproof/cli/rollback_commands.py": (1, "an example has a store called so"),
    "rollproof/cli/during_commands.py": (1, "an example has a store called so"),
}
"""Where else a kind is named: how often, and why."""


def test_no_module_decides_by_the_kind_of_a_store() -> None:
    """What depends on it is in the descriptor, or in the packages of the store.

    Staging and benchmarks are made of stores that they choose themselves.
    """
    found = {
        str(path.relative_to(ROOT)): sorted(_switches(path.read_text(encoding="utf-8")))
        for path, name in MODULES.items()
        if name.split(".")[0] in {"rollproof", "fixtures", "rollback_actions", "reports", "checks"}
        and not _of_a_store(f"{name}..")
    }
    named = {path: switches for path, switches in found.items() if switches}
    assert not {path: switches for path, switches in named.items() if path not in NAMES_A_KIND}
    assert {path: len(named.get(path, ())) for path in NAMES_A_KIND} == {
        path: times for path, (times, _) in NAMES_A_KIND.items()
    }


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
