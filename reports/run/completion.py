"""Completes a record that has its verdict and results, for a run of checks and for a rebuild."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from fixtures.errors import Problem
from fixtures.home import typed
from fixtures.incident.incident import IncidentKind, load_incident
from fixtures.record_names import RESULTS
from fixtures.redaction.redactor import Redactor
from reports.allure.checksums import add_checksums
from reports.postmortem.postmortem import write_post_mortem
from reports.tools.drawing import draw, remove_pictures
from reports.tools.processes import NoReport


def complete(
    folder: Path,
    redactor: Redactor,
    say: Callable[[str], None],
    render: Callable[[], object],
    *,
    drawn: bool,
    anew: Collection[str] = (),
) -> list[Problem]:
    """Seal the results, draw the pictures, write the post-mortem, render the report, in this order.

    Each is made even if the one before failed. Return the reasons for a missing post-mortem or report.
    `say` is told of pictures that cannot be drawn; with `drawn` false, earlier pictures are removed. The
    results named in `anew` were written again.

    Raises:
        OSError: the checksums cannot be written.
        UsageProblem: there is no incident in the folder.
    """
    if (folder / RESULTS).exists():
        add_checksums(folder, anew)
    try:
        if drawn:
            for wrong in draw(folder, redactor):
                say(wrong)
        elif remove_pictures(folder):
            say(f"  to draw the pictures again: {typed(f'report {folder}')}")
    except NoReport as problem:
        # The rest of the record does not depend on the pictures.
        say(str(problem))

    def post_mortem() -> None:
        # A change, which has not happened yet, has a page of its own.
        if load_incident(folder).kind is not IncidentKind.CHANGE:
            write_post_mortem(folder, redactor.text)

    problems: list[Problem] = []
    for make in (post_mortem, render):
        try:
            make()
        except Problem as problem:
            # The verdict is written already, and stays valid.
            problems.append(problem)
    return problems
