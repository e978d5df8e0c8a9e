"""Tables that Python code declares: where a migration is generated from them, no file of it tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollproof.migrations.finding import Finding, Findings
from rollproof.migrations.python_sql import UNREADABLE

_COLUMNS = frozenset({"Column", "mapped_column", "Relationship", "relationship"})
_WHY = "no file of the migration names it, and one that is generated at start would change it"


@dataclass(frozen=True, slots=True)
class ChangedCode:
    """A Python file outside of the patterns, before and after; None where it is not there."""

    path: str
    before: bytes | None
    after: bytes | None


def lint_models(code: Sequence[ChangedCode], migration: str) -> list[Finding]:
    """Return the tables whose declaration differs and that `migration`, its files' text, does not name."""
    found: list[Finding] = []
    for file in code:
        findings = Findings(file.path)
        try:
            before, after = _declared(file.before), _declared(file.after)
        except UNREADABLE as error:
            findings.unjudged(1, "tables that it declares", f"it cannot be read, {type(error).__name__}")
        else:
            for name in sorted(before.keys() | after.keys()):
                if before.get(name) != after.get(name) and name not in migration:
                    findings.unjudged(1, f"table {name}, declared there", _WHY)
        found += findings.found
    return found


def _declared(content: bytes | None) -> dict[str, list[str]]:
    """Return the declarations of each table, by its name, else its class's."""
    tables: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(content or b"")):
        for name, parts in _tables(node):
            tables.setdefault(name, []).extend(ast.dump(part) for part in parts)
    return tables


def _tables(node: ast.AST) -> Iterator[tuple[str, Sequence[ast.AST]]]:
    if isinstance(node, ast.Call) and _last(node.func) == "Table" and node.args:
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, [node]
    elif isinstance(node, ast.ClassDef):
        parts = [part for part in node.body if isinstance(part, ast.Assign | ast.AnnAssign)]
        named = [
            part.value.value
            for part in parts
            if isinstance(part.value, ast.Constant)
            and isinstance(part.value.value, str)
            and any(_last(target) == "__tablename__" for target in _targets(part))
        ]
        columns = any(
            isinstance(inner, ast.Call) and _last(inner.func) in _COLUMNS
            for part in parts
            for inner in ast.walk(part)
        )
        table = any(keyword.arg == "table" for keyword in node.keywords)
        if named or columns or table:
            yield (named or [node.name.lower()])[0], [*parts, *node.bases]


def _targets(part: ast.Assign | ast.AnnAssign) -> Sequence[ast.expr]:
    return part.targets if isinstance(part, ast.Assign) else [part.target]


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
