"""Completes a record that has its verdict and results, for a run of checks and for a rebuild."""

from __future__ import annotations

from collections.abc import Callable

from reports.html.html import front_page
from reports.incident.record import OTHER_SHAPE
from reports.pictures.album import draw_timeline, remove_timeline
from reports.postmortem.postmortem import write_post_mortem
from reports.postmortem.story import Story
from reports.text.page import MARKS, in_markdown
from reports.verdict.gate_page import gate_page
from reports.verdict.summary import report_command
from rollproof.errors import Problem
from rollproof.incident.incident import IncidentKind
from rollproof.incident.ledger import runs
from rollproof.profile.profile import Target
from rollproof.record_names import GATE_PAGE
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_page
from rollproof.verdict import Verdict


def complete(
    story: Story,
    redactor: Redactor,
    say: Callable[[str], None],
    render: Callable[[str], object],
    *,
    drawn: bool,
    target: Target | None = None,
) -> list[Problem]:
    """Write the pages of a record, and render the report: `render` gets the HTML of its first screen.

    A change has the gate's page, an incident its pictures and its post-mortem. Post-mortem and report are
    made even if the one before failed. Return the reasons for a missing one. `say` shows the pictures that
    cannot be drawn. With `drawn` false, earlier pictures are removed.
    """
    problems: list[Problem] = []
    record = story.record
    if record.incident.kind is IncidentKind.CHANGE:
        _write_gate(story, target, redactor)
    else:
        _draw(story, redactor, say, drawn=drawn)
        try:
            write_post_mortem(record.incident.folder, story, redactor.text)
        except Problem as problem:
            # The verdict is written already, and stays valid.
            problems.append(problem)
    try:
        render(front_page(story, redactor.text))
    except Problem as problem:
        problems.append(problem)
    return problems


def _draw(story: Story, redactor: Redactor, say: Callable[[str], None], *, drawn: bool) -> None:
    folder = story.record.incident.folder
    if drawn:
        for wrong in draw_timeline(folder, story.timeline, redactor):
            say(wrong)
    elif remove_timeline(folder):
        say(f"  to draw the timeline again: {report_command(folder)}")


def _write_gate(story: Story, target: Target | None, redactor: Redactor) -> None:
    """Write the gate's page, if a run has begun; one that promotes nothing if its record cannot be read."""
    folder = story.record.incident.folder
    known = runs(folder)
    if not known:
        return
    try:
        waivers = target.premigration.waivers if target is not None else None
        page = gate_page(story.verdict, known[-1], waivers, redactor.text)
    except OTHER_SHAPE as error:
        unread = f"The record of the run cannot be read: {in_markdown(redactor.text(str(error)))}"
        page = f"# {MARKS[Verdict.FAILED]} Do not promote\n\n{unread}\n"
    write_page(folder / GATE_PAGE, page)
