"""Completes a record that has its verdict and results, for a run of checks and for a rebuild."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reports.incident.incident_record import OTHER_SHAPE, read_record
from reports.pictures.album import draw_pictures, remove_pictures
from reports.postmortem.postmortem import write_post_mortem
from reports.text.page import MARKS, escaped
from reports.timeline.timeline import timeline_of
from reports.verdict.gate_page import gate_page
from reports.verdict.known_limits import limits_page
from reports.verdict.summary import report_command
from rollproof.baseline.facts import Facts
from rollproof.errors import Problem, reason_of
from rollproof.incident.incident import Incident, IncidentKind, load_incident
from rollproof.incident.ledger import Run, runs
from rollproof.profile.profile import Signing, Target
from rollproof.record_names import GATE_PAGE, LIMITS
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import write_whole
from rollproof.verdict import RunVerdict, Verdict


@dataclass(frozen=True, slots=True)
class OfRun:
    """What only a run of checks has at hand: itself, and the facts of its baseline, if it could be read."""

    run: Run
    recorded: Facts | None


def complete(
    folder: Path,
    verdict: RunVerdict,
    redactor: Redactor,
    say: Callable[[str], None],
    render: Callable[[], object],
    *,
    drawn: bool,
    target: Target | None = None,
    of_run: OfRun | None = None,
) -> list[Problem]:
    """Write all pages of the record, and render the report.

    First come the known limits, and the gate's page of a change. Then come the pictures, the post-mortem and
    the report.

    Pictures, post-mortem and report are made even if the one before failed. Return the reasons for a missing
    post-mortem or report. `say` is told of pictures that cannot be drawn. With `drawn` false,
    earlier pictures are removed.

    Known limits and the gate's page name what profile and baseline had, and the run's scan for secrets marks
    the gate's. A rebuild, without `of_run`, keeps those two where they are. Where a killed run left none it
    makes them from the folder, and from `target` if it is given. It keeps no page that promotes what the
    verdict does not.

    Raises:
        OSError: a page cannot be written.
        UsageProblem: there is no incident in the folder.
    """
    incident = load_incident(folder)
    for name, text in _beside(incident, verdict, target, of_run):
        clean = redactor.text(text).encode("utf-8", "backslashreplace")
        write_whole(folder / name, clean, mode=0o644)
    _draw(incident, redactor, say, drawn=drawn)

    def post_mortem() -> None:
        # A change, which has not happened yet, has a page of its own.
        if incident.kind is not IncidentKind.CHANGE:
            write_post_mortem(folder, redactor.text, target.signing if target is not None else Signing())

    problems: list[Problem] = []
    for make in (post_mortem, render):
        try:
            make()
        except Problem as problem:
            # The verdict is written already, and stays valid.
            problems.append(problem)
    return problems


def _draw(incident: Incident, redactor: Redactor, say: Callable[[str], None], *, drawn: bool) -> None:
    if drawn and incident.kind is not IncidentKind.CHANGE:
        record = read_record(incident.folder)
        for wrong in draw_pictures(record, timeline_of(record), redactor):
            say(wrong)
    elif remove_pictures(incident.folder):
        say(f"  to draw the pictures again: {report_command(incident.folder)}")


def _beside(
    incident: Incident, verdict: RunVerdict, target: Target | None, of_run: OfRun | None
) -> Iterator[tuple[str, str]]:
    """Yield the pages that the report shows beside the results."""
    folder = incident.folder
    if of_run is not None or not (folder / LIMITS).exists():
        yield LIMITS, limits_page(verdict, target, of_run.recorded if of_run is not None else None)
    if incident.kind is IncidentKind.CHANGE:
        page = _gate_page(folder, verdict, target, of_run)
        if page is not None:
            yield GATE_PAGE, page


def _gate_page(folder: Path, verdict: RunVerdict, target: Target | None, of_run: OfRun | None) -> str | None:
    """Return the gate's page, or None if it is kept as it is, or no run has begun."""
    known = runs(folder)
    promotes = verdict.verdict is Verdict.PASSED
    if of_run is None and (not known or (promotes and (folder / GATE_PAGE).exists())):
        return None
    waivers = target.premigration.waivers if target is not None else None
    try:
        return gate_page(verdict, of_run.run if of_run is not None else known[-1], waivers)
    except (OSError, *OTHER_SHAPE) as error:
        if of_run is not None:
            raise
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        unread = f"The record of the run cannot be read: {escaped(why)}"
        return f"# {MARKS[Verdict.FAILED]} Do not promote\n\n{unread}\n"
