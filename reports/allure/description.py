"""A check's text in the report: its purpose, the expected and observed values, its steps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from allure_commons.model2 import Status, StatusDetails, TestStepResult

from fixtures.errors import Mismatch, Problem
from fixtures.gating.evidence import NOTES, SIDES, STEPS, Sides
from fixtures.target.mistakes import ProfileProblem
from reports.text.page import escaped
from reports.text.room import cut_to

LONGEST = 500
SHOWN = 20


def note_error(item: pytest.Item, error: BaseException | None) -> None:
    """Keep an error's expected and observed values for a check that recorded none itself."""
    if isinstance(error, ProfileProblem):
        # It holds several errors, each with its own values: its text lists them all.
        return
    if isinstance(error, (Mismatch, Problem)) and not item.stash.get(SIDES, []):
        item.stash[SIDES] = [Sides(expected=str(error.expected), observed=str(error.observed))]


def description(item: pytest.Item) -> str:
    """Return as Markdown the check's purpose, its expected and observed values, and its notes."""
    return "\n\n".join(_paragraphs(item))


def _paragraphs(item: pytest.Item) -> Iterator[str]:
    verified = inspect.getdoc(item.obj) if isinstance(item, pytest.Function) else None
    if verified:
        yield f"**Verified:** {_cell(verified)}"
    sides = item.stash.get(SIDES, [])
    if sides:
        rows = [f"| {_cell(pair.expected)} | {_cell(pair.observed)} |" for pair in sides[:SHOWN]]
        more = [f"| and {len(sides) - SHOWN} more | |"] if len(sides) > SHOWN else []
        yield "\n".join(["| expected | observed |", "|---|---|", *rows, *more])
    for note in item.stash.get(NOTES, [])[:SHOWN]:
        yield f"**Noted:** {_cell(note.text)}"


def _cell(text: str) -> str:
    """Return `text` shortened to one line of escaped Markdown."""
    return escaped(cut_to(" ".join(text.split()), LONGEST))


def steps(item: pytest.Item) -> Iterator[TestStepResult]:
    """Yield the check's calls to the outside world with their times, in the order in which they began."""
    found = item.stash.get(STEPS, None)
    if found is None:
        return
    for step in sorted(found.kept, key=lambda step: step.began):
        yield TestStepResult(
            name=step.name,
            status=Status.PASSED if step.problem is None else Status.BROKEN,
            statusDetails=None if step.problem is None else StatusDetails(message=step.problem),
            start=round(step.began * 1000),
            stop=round(step.ended * 1000),
        )
    if found.more:
        end = round(max(step.ended for step in found.kept) * 1000)
        yield TestStepResult(
            name=f"and {found.more} more, not shown", status=Status.PASSED, start=end, stop=end
        )
