"""A fleet, targets by phases: in lines of 80 columns, and as a page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from reports.text.page import html
from reports.verdict.verdict import shown_folder
from rollproof.errors import for_a_terminal, shortened
from rollproof.fleet.side_by_side import TargetOutcome
from rollproof.record_names import REPORT
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_page
from rollproof.verdict import Verdict

_WIDTH, _CELL = 80, 8
_LONGEST_CAUSE = 300
_NOT_RUN = "not run"
_WORST_FIRST = (Verdict.FAILED, Verdict.BROKEN, Verdict.PASSED)


def head(stages: Sequence[str]) -> str:
    """Return the first line of the table."""
    return f"{'':<{_CELL + _width(stages)}}{''.join(f'{stage:<{_CELL}}' for stage in stages)}".rstrip()


def row(outcome: TargetOutcome, stages: Sequence[str]) -> str:
    """Return the line of one target."""
    width = _width(stages)
    name = outcome.name if len(outcome.name) < width else f"{outcome.name[: width - 2]}…"
    phases = "".join(f"{outcome.end.phases.get(stage, _NOT_RUN):<{_CELL}}" for stage in stages)
    return f"{outcome.verdict:<{_CELL}}{name:<{width}}{phases}{outcome.seconds:6.1f} s"


def _width(stages: Sequence[str]) -> int:
    return _WIDTH - _CELL * (len(stages) + 2)


def causes(outcomes: Sequence[TargetOutcome]) -> Iterator[str]:
    """Yield why each target that did not pass did not, the worst last, where it stays on a screen."""
    for outcome in sorted(worst_first(outcomes), key=lambda one: -_WORST_FIRST.index(one.verdict)):
        # What an interruption kept from beginning is on the page.
        if outcome.verdict is Verdict.PASSED or outcome.log is None:
            continue
        yield f"{outcome.verdict.upper()}  {outcome.name}"
        if outcome.end.cause:
            yield f"  {for_a_terminal(shortened(' '.join(outcome.end.cause.split()), _LONGEST_CAUSE))}"
        yield from (f"  | {for_a_terminal(line)}" for line in outcome.last)
        yield from (f"  {shown_folder(path)}" for path in (outcome.end.record, outcome.log) if path)


def worst_first(outcomes: Sequence[TargetOutcome]) -> list[TargetOutcome]:
    """Return the outcomes, the worst first, those of one verdict by name."""
    return sorted(outcomes, key=lambda one: (_WORST_FIRST.index(one.verdict), one.name))


def counted(outcomes: Sequence[TargetOutcome]) -> str:
    """Return the number of targets with each verdict, in words."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    numbers = (f"{counts[verdict]} {verdict}" for verdict in _WORST_FIRST if counts[verdict])
    return f"{', '.join(numbers)}, of {len(outcomes)} targets"


def write_fleet(path: Path, verdict: str, outcomes: Sequence[TargetOutcome], stages: Sequence[str]) -> None:
    """Write the page; its links are relative, so that it can be moved together with the records."""
    rows = [(outcome, dict(_links(outcome, path.parent))) for outcome in worst_first(outcomes)]
    page = html(
        "fleet.html.jinja",
        Redactor().text,
        verdict=verdict,
        counted=counted(outcomes),
        rows=rows,
        stages=stages,
        not_run=_NOT_RUN,
    )
    write_page(path, page)


def _links(outcome: TargetOutcome, folder: Path) -> Iterator[tuple[str, str]]:
    record = outcome.end.record
    if record is not None and (record / REPORT).exists():
        record /= REPORT
    for text, path in (("record", record), ("log", outcome.log)):
        if path is not None:
            yield text, quote(os.path.relpath(path, folder))
