"""The files of a record are named in one place: whoever renames one finds all that write and read it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from rollproof import record_names
from tests.conftest import ROOT

ROOMS = ("checks", "fixtures", "reports", "rollback_actions", "rollproof", "staging")
NAMES_THEM = "rollproof/record_names.py"
APART = {"reports/bundle/verify_record.py": "the checker in each bundle shares no code with the suite"}
OF_CONTAINERS = ("staging/application/", "staging/images/")

NAMES = sorted(value for name, value in vars(record_names).items() if name.isupper())
_NAMED = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, NAMES))})(?![\w-]|\.\w)")


def _docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                yield id(text)
            case _:
                pass


def _named(source: str) -> list[str]:
    """Return the names that `source` spells in a text that is no sentence: a name, a path or a pattern."""
    tree = ast.parse(source)
    docstrings = set(_docstrings(tree))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    return [
        name
        for text in texts
        if not re.search(r"\s", text)
        for name in _NAMED.findall(text.replace("\\", ""))
    ]


def test_no_module_spells_the_name_of_a_records_file() -> None:
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    found = {
        path: names
        for path, source in sources.items()
        if not path.startswith(OF_CONTAINERS) and (names := _named(source))
    }
    assert found.pop(NAMES_THEM)
    assert {path for path in found if path in APART} == {*APART}
    assert {path: names for path, names in found.items() if path not in APART} == {}


def test_each_has_one_name() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('A = "verdict.json"', ["verdict.json"]),
        ('folders.glob("*/incident.json")', ["incident.json"]),
        ('f"ledger/{number}/run.json"', ["ledger", "run.json"]),
        (r'A = r"gate\.md|.*"', ["gate.md"]),
        ('A = "see gate.md"', []),
        ('"""verdict.json"""', []),
        ('A = "broken-verdict.json"', []),
    ],
)
def test_the_rule_sees_names_paths_and_patterns(source: str, names: list[str]) -> None:
    assert _named(source) == names
