"""The picture of the house in CONTRIBUTING.md says what the table of layers says, no less and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise, product

import pytest

from tests.conftest import ROOT
from tests.unit.house.layers import DIVIDED, LAYERS

MAY_CHANGE = {
    "stores_write",
    "session",
    "rollback",
    "asks",  # the canary alone, which removes what it leaves
}
"""Nodes that change the target; any node that has a file to write may write it into a folder of records."""

_ROOM = re.compile(r'subgraph (?P<room>\w+)\["')
_NODE = re.compile(r'(?P<name>\w+)\["(?P<text>[^"]+)"\]$')
_DOTTED = re.compile(r"(?P<tails>[\w& ]+?) -\. (?P<text>.+) \.->(?P<heads>[\w& ]+)$")


def _picture() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.partition("```mermaid\n")[2].partition("```")[0]
    return [line.strip() for line in block.splitlines()]


def _nodes(lines: list[str]) -> dict[str, frozenset[str]]:
    """Return the rows of the table that each node stands for."""
    found: dict[str, frozenset[str]] = {}
    room = ""
    for line in lines:
        if opened := _ROOM.match(line):
            room = opened["room"]
        elif line == "end":
            room = ""
        elif node := _NODE.match(line):
            found[node["name"]] = frozenset(_rows(room, node["text"]))
    return found


def _rows(room: str, text: str) -> Iterator[str]:
    for name in re.split(r",(?:<br/>| )", text):
        if not room:
            yield from (row for row in LAYERS if row == name or row.startswith(f"{name}."))
        elif name.endswith(".kind"):
            yield from (row for row in LAYERS if row.startswith(f"{room}.{name.removesuffix('kind')}"))
        else:
            yield f"{room}.{name}"


def _arrows(line: str) -> Iterator[tuple[str, str]]:
    """Yield the full arrows of a line, which may be a chain."""
    for tails, heads in pairwise(line.split(" --> ")):
        yield from _pairs(tails, heads)


def _pairs(tails: str, heads: str) -> Iterator[tuple[str, str]]:
    yield from product(*([name.strip() for name in side.split("&")] for side in (tails, heads)))


def _imports(rows: frozenset[str], others: frozenset[str]) -> bool:
    """Tell whether the table lets a package of `rows` import one of `others`."""
    named = {name for row in rows for name in LAYERS[row]}
    return any(row in named or f"{row.partition('.')[0]}.*" in named for row in others)


def _reached(name: str, drawn: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = {name}
    while ahead:
        ahead = {further for one in ahead for further in drawn.get(one, ())} - found
        found |= ahead
    return found


NODES = _nodes(_picture())
DRAWN = [pair for line in _picture() for pair in _arrows(line)]


@pytest.mark.parametrize("room", DIVIDED)
def test_every_package_of_a_room_is_in_one_node(room: str) -> None:
    packages = sorted(row for row in LAYERS if row.startswith(f"{room}."))
    shown = sorted(row for rows in NODES.values() for row in rows if row.startswith(f"{room}."))
    assert shown == packages


def test_every_arrow_is_an_import_that_the_table_allows() -> None:
    assert DRAWN
    assert not [pair for pair in DRAWN if not {*pair} <= NODES.keys()]
    assert not [pair for pair in DRAWN if not _imports(*(NODES[name] for name in pair))]


def test_arrows_lead_to_all_that_a_node_may_import() -> None:
    """By way of other nodes too: a picture with every arrow could not be read."""
    drawn: dict[str, set[str]] = {name: set() for name in NODES}
    for tail, head in DRAWN:
        drawn[tail].add(head)
    reached = {name: _reached(name, drawn) for name in NODES}
    assert not [name for name, others in reached.items() if name in others]
    assert not [
        f"{name} may import of {other}"
        for name, other in product(NODES, NODES)
        if name != other and other not in reached[name] and _imports(NODES[name], NODES[other])
    ]


def test_what_changes_the_target_is_declared() -> None:
    """An arrow that is no import says what it is."""
    dotted = [
        (*pair, arrow["text"])
        for line in _picture()
        if (arrow := _DOTTED.match(line))
        for pair in _pairs(arrow["tails"], arrow["heads"])
    ]
    assert {
        tail for tail, head, text in dotted if (head, text.split()[0]) == ("target", "writes")
    } == MAY_CHANGE
    assert not [one for one in dotted if one[2].split()[0] not in {"reads", "types", "writes"}]
