"""The names in Python code, and the SQL that it passes to a database, if its text is written there."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from rollproof.migrations.finding import Findings
from rollproof.migrations.known import Known
from rollproof.migrations.sql import lint_sql

# What Python's parser raises: too deep an expression is one error or the other.
UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError)
_TEXTS = frozenset({"sqlalchemy.text", "sqlalchemy.sql.text", "sqlalchemy.sql.expression.text"})


def module_of(text: str, findings: Findings) -> ast.Module | None:
    """Return the parsed `text` of a file; None, and a finding, for what is no Python that can be read."""
    try:
        return ast.parse(text)
    except UNREADABLE as error:
        line = getattr(error, "lineno", None) or 1
        findings.unjudged(line, "the file", f"it is no Python that can be read, {type(error).__name__}")
        return None


def assigned(module: ast.Module) -> dict[str, ast.expr]:
    """Return the values assigned at a module's top level, by name."""
    found: dict[str, ast.expr] = {}
    for node in module.body:
        if isinstance(node, ast.Assign):
            found.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


class Names:
    """The names of a module that always stand for one thing: imports and constants."""

    def __init__(self, module: ast.Module) -> None:
        """Read which names a module binds, and how often."""
        every = list(ast.walk(module))
        self._bound = Counter(name for node in every for name in _bound(node))
        self._values = assigned(module)
        self._imported: dict[str, set[str]] = {}
        for node in every:
            for name, path in _imported(node):
                self._imported.setdefault(name, set()).add(path)

    def binds(self, name: str) -> bool:
        """Return whether the module gives `name` a meaning of its own."""
        return bool(self._bound[name]) or name in self._imported

    def path(self, node: ast.expr) -> str | None:
        """Return ``alembic.op.execute`` for what an import leads to, by whatever name; None for any other."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or self._bound[node.id]:
            return None
        paths = self._imported.get(node.id, set())
        return ".".join([*paths, *reversed(parts)]) if len(paths) == 1 else None

    def text(self, node: ast.expr | None) -> str | None:
        """Return the literal text of `node`, or of the constant that it names; None for any other."""
        for _ in range(8):  # a constant may name another; what goes deeper is not followed
            if isinstance(node, ast.Name) and self._bound[node.id] == 1 and node.id not in self._imported:
                node = self._values.get(node.id)
            elif isinstance(node, ast.Call) and node.args and self._is_text(node.func):
                node = node.args[0]
            else:
                break
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

    def _is_text(self, function: ast.expr) -> bool:
        # op.f("name") marks a name as final; a batch has it too.
        marks = isinstance(function, ast.Attribute) and function.attr == "f"
        return marks or self.path(function) in _TEXTS


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for name in node.names:
            root = name.name.partition(".")[0]
            yield (name.asname, name.name) if name.asname else (root, root)
    elif isinstance(node, ast.ImportFrom):
        for name in node.names:
            yield name.asname or name.name, f"{'.' * node.level}{node.module or ''}.{name.name}"


def lint_executed(call: ast.Call, names: Names, findings: Findings, known: Known) -> None:
    """Add the findings of the SQL in a call of ``execute``."""
    sql = names.text(call.args[0]) if call.args else None
    if sql is None:
        findings.unjudged(call.lineno, "execute", "what is executed is not written there")
    else:
        lint_sql(sql, findings, known, call.lineno)


def lint_calls(module: ast.Module, findings: Findings, known: Known) -> None:
    """Add the findings of literal SQL passed to ``execute``, in a module of any kind."""
    names = Names(module)
    calls = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"execute", "executemany"}
        and node.args
    ]
    for call in sorted(calls, key=lambda node: node.lineno):
        if names.text(call.args[0]) is not None:
            lint_executed(call, names, findings, known)
