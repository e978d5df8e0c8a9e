"""What is red, in lines for a terminal: one entry for each cause, of a few rows.

An engine that is gone makes a hundred checks red: that is one entry, with their number. Tracebacks are in the
record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reports.postmortem.story import Cause, Story
from reports.verdict.summary import STYLES
from rollproof.errors import shortened
from rollproof.incident.ledger import Run

_MOST = 5  # causes: the verdict must stay on the screen
_LONGEST_REASON, _LONGEST_HINT = 160, 320


def causes_of(story: Story, run: Run) -> tuple[Cause, ...]:
    """Return the causes of `story` with the checks alone that `run` planned."""
    checks = {check for planned in run.plan().values() for check in planned.checks}
    found = (
        replace(cause, failures=tuple(one for one in cause.failures if one.id in checks))
        for cause in story.causes
    )
    return tuple(cause for cause in found if cause.failures)


def cause_lines(causes: Sequence[Cause]) -> Iterator[tuple[str, str, str]]:
    """Yield the first causes in the form of `reports.verdict.summary.lines`, and the number of the others."""
    for cause in causes[:_MOST]:
        first, count = cause.failures[0], len(cause.failures)
        name = first.id.partition("::")[2] or first.words
        head = name if count == 1 else f"{count} checks, the first {name}"
        yield f"{cause.verdict.upper():<6}", f"  {head}", STYLES[cause.verdict]
        reasons = dict.fromkeys(" ".join(one.reason.split()) for one in cause.failures)
        yield "", f"  {shortened('; '.join(reasons), _LONGEST_REASON)}", ""
        if first.hint:
            yield "", f"  HINT: {shortened(' '.join(first.hint.split()), _LONGEST_HINT)}", ""
    if others := causes[_MOST:]:
        checks = sum(len(cause.failures) for cause in others)
        yield "", f"  and {len(others)} more causes of {checks} checks: all are in the record", ""
