"""Lints all files of a migration that change data, each by its kind."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rollproof.migrations.alembic import is_revision, lint_revision
from rollproof.migrations.finding import Finding, Findings, Linted
from rollproof.migrations.known import Known
from rollproof.migrations.models import ChangedCode, lint_models
from rollproof.migrations.python_sql import UNREADABLE, assigned, lint_calls, module_of
from rollproof.migrations.schema_before import SchemaBefore
from rollproof.migrations.sql import lint_sql

_ELSEWHERE = "it may lie elsewhere, be generated at start, or not be one"


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file as the migration has it; `content` is None if the migration removes it.

    `added` tells whether the migration adds it.
    """

    path: str
    content: bytes | None
    added: bool


def lint(
    migration: str,
    patterns: tuple[str, ...],
    changed: Sequence[ChangedFile],
    tree: Mapping[str, str],
    before: SchemaBefore,
    code: Sequence[ChangedCode] = (),
) -> Linted:
    """Return the findings in the `changed` files, and in the chain of the revisions in `tree`.

    `tree` are the Python files of the migration's commit that match the same `patterns`; `code` are those it
    changes that do not match.
    """
    known = Known(before)
    findings: list[Finding] = []
    if not changed:
        # Nothing is known of a migration that is not among the files.
        nothing = Findings("premigration.state.migrations")
        nothing.unjudged(1, f"no file of the migration matches {', '.join(patterns)}", _ELSEWHERE)
        findings += nothing.found
    for file in changed:
        findings += _lint_file(file, known)
    if any(file.path.endswith(".py") for file in changed):
        # A changed file that cannot be read is in the tree too: it is said once.
        findings += [one for one in lint_chain(tree) if one not in findings]
    text = "\n".join((file.content or b"").decode("utf-8", "replace") for file in changed)
    findings += lint_models(code, text)
    return Linted(migration, patterns, tuple(file.path for file in changed), tuple(findings))


def _lint_file(file: ChangedFile, known: Known) -> list[Finding]:
    findings = Findings(file.path)
    known.begin_file()
    if file.content is None:
        findings.unjudged(1, "removal of the file", "data may be in the state that it has brought about")
        return findings.found
    if not file.added:
        findings.noted(
            1, "change of a file that was there", "where it has run already, it does not run again"
        )
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        findings.unjudged(1, "the file", "it is no UTF-8 text")
        return findings.found
    if file.path.endswith(".sql"):
        lint_sql(text, findings, known)
    elif file.path.endswith(".py"):
        _lint_python(text, findings, known)
    else:
        findings.unjudged(1, "the file", "files of its kind are not read here")
    return findings.found


def _lint_python(text: str, findings: Findings, known: Known) -> None:
    module = module_of(text, findings)
    if module is None:
        return
    if is_revision(module):
        try:
            lint_revision(module, findings, known)
        except RecursionError:
            findings.unjudged(1, "the file", "an expression of it is too deep to be read")
        return
    if _does_nothing(module):
        return
    lint_calls(module, findings, known)
    findings.unjudged(
        1, "Python code", "it is no alembic revision, and only SQL that is written in it is read"
    )


def _does_nothing(module: ast.Module) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in module.body)


_NO_CHAIN = "an upgrade to the head would not know what to do"


@dataclass(frozen=True, slots=True)
class _Revision:
    file: str
    name: str
    before: tuple[str, ...]


def lint_chain(tree: Mapping[str, str]) -> list[Finding]:
    """Return the errors of the revision chain among the files of `tree`, each folder separately."""
    folders: dict[str, list[_Revision]] = {}
    found: list[Finding] = []
    for file, text in sorted(tree.items()):
        findings = Findings(file)
        module = module_of(text, findings)
        if module is not None and is_revision(module):
            revision = _read(file, module)
            if revision is None:
                findings.unjudged(1, "revision", "its id or that of the one before is not written there")
            else:
                folders.setdefault(str(PurePosixPath(file).parent), []).append(revision)
        found += findings.found
    for folder, revisions in folders.items():
        found += _lint_folder(folder, revisions)
    return found


def _lint_folder(folder: str, revisions: list[_Revision]) -> list[Finding]:
    names = [revision.name for revision in revisions]
    found: list[Finding] = []
    for revision in revisions:
        findings = Findings(revision.file)
        missing = [name for name in revision.before if name not in names]
        if missing:
            findings.lost(
                1, f"revision {revision.name} after {', '.join(missing)}", "there is no such revision"
            )
        if names.count(revision.name) > 1:
            findings.lost(1, f"revision {revision.name}", "another file has the same id")
        found += findings.found
    before = {name for revision in revisions for name in revision.before}
    heads = sorted(name for name in set(names) if name not in before)
    if len(heads) != 1:
        findings = Findings(folder)
        findings.lost(1, f"heads {', '.join(heads) or 'none'} of the revisions", _NO_CHAIN)
        found += findings.found
    return found


def _read(file: str, module: ast.Module) -> _Revision | None:
    values = assigned(module)
    try:
        name, before = ast.literal_eval(values["revision"]), ast.literal_eval(values["down_revision"])
    except (*UNREADABLE, TypeError):
        return None
    names = before if isinstance(before, tuple | list) else () if before is None else (before,)
    if not isinstance(name, str) or not all(isinstance(one, str) for one in names):
        return None
    return _Revision(file, name, tuple(names))
