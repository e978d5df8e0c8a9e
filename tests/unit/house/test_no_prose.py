"""What a writer and a reader agree on is an enum, a constant or a field: no text of ours is parsed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

ROOMS = ("checks", "fixtures", "reports", "rollback_actions", "rollproof", "staging")
ALONE = {"reports/bundle/verify_record.py"}
"""The checker in each bundle, which imports nothing of ours."""
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if path.relative_to(ROOT).parts[:2] not in {("staging", "application"), ("staging", "images")}
}


def _is_event(node: ast.expr) -> bool:
    """Tell whether `node` reads the event of a journal's record."""
    match node:
        case ast.Subscript(slice=ast.Constant(value="event")):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="event"), *_]):
            return True
        case _:
            return False


def _texts(node: ast.AST | None) -> list[str]:
    return [
        one.value
        for one in (ast.walk(node) if node else ())
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]


def bare_events(source: str) -> Iterator[str]:
    """Yield the events of a journal that are written or compared as they stand, not by their name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="write" | "_write" | "record"), args=[ast.Constant(value=str(event))]
            ) if node.keywords:
                yield event
            case ast.Compare(left=left, comparators=others) if any(map(_is_event, [left, *others])):
                yield from (text for one in [left, *others] if not _is_event(one) for text in _texts(one))
            case ast.Match(subject=subject) if _is_event(subject):
                yield from (text for case in node.cases for text in _texts(case.pattern))
            case _:
                pass


def test_an_event_of_a_journal_has_one_name_for_who_writes_it_and_who_reads_it() -> None:
    found = {path: [*bare_events(source)] for path, source in SOURCES.items() if path not in ALONE}
    assert not {path: events for path, events in found.items() if events}


@pytest.mark.parametrize(
    "source",
    [
        'journal.write("noted", text="x")',
        'steps.record("noted", text="x")',
        'record["event"] == "noted"',
        'record.get("event") in {"noted", OTHER}',
        '"noted" == record["event"]',
        'match record["event"]:\n    case "noted": pass',
    ],
)
def test_every_way_to_name_an_event_is_found(source: str) -> None:
    assert [*bare_events(source)] == ["noted"]


def sentences_compared(source: str) -> Iterator[int]:
    """Yield the lines where what is compared is a rendered sentence, by itself or by its name."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        nodes = [*ast.walk(function)]
        rendered = {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.JoinedStr)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.Compare) and any(
                isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Name) and one.id in rendered)
                for one in (node.left, *node.comparators)
            ):
                yield node.lineno


def test_no_check_compares_sentences() -> None:
    found = {path: [*sentences_compared(SOURCES[path])] for path in SOURCES if path.startswith("checks/")}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "compared", ["observed == expected", 'f"{a}" == b', 'b != f"{a}"', "observed in (b, c)"]
)
def test_every_way_to_compare_sentences_is_found(compared: str) -> None:
    source = (
        f'def test(a, b, c):\n    observed = f"{{a}} {{b}}"\n    expected = f"{{c}}"\n    assert {compared}\n'
    )
    assert [*sentences_compared(source)] == [4]
