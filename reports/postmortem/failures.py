"""The post-mortem's failures and unverified parts: everything that is not known to be right."""

from __future__ import annotations

from collections.abc import Iterator

from fixtures.system.clock import t_plus
from fixtures.verdict import RunVerdict, Verdict
from reports.incident.event import Event, Kind
from reports.text.page import Page
from reports.text.stages import TITLES
from reports.timeline.timeline import Timeline
from reports.verdict.summary import UNSEEN

_DONE = (Kind.ROLLBACK, Kind.DEPLOYMENT, Kind.ACTION, Kind.RESPONSE, Kind.CHECK, Kind.CONTACT)


def failures_section(page: Page, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write the failures with their reasons, and the late steps."""
    page.heading("What failed, and why")
    failed = (event for event in timeline.of(*_DONE) if event.verdict is Verdict.FAILED)
    page.table(("when", "what", "", "where"), (_row(e, timeline) for e in failed), "Nothing is recorded.")
    late = [text for text in (verdict.late, verdict.late_phases) if text is not None]
    # A phase's lateness is told once, with its window.
    late += [
        f"{e.text}: {e.seconds:.1f} s of {e.deadline:.1f} s"
        for e in timeline.events
        if e.late and (e.kind is not Kind.PHASE or verdict.late_phases is None)
    ]
    if late:
        page.paragraph("Later than it was to be:")
        page.bullets(late, "")


def unverified_section(page: Page, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write the unknown parts: broken, blocked and unreported checks, parts left out, blind spots."""
    page.heading("What could not be verified")
    broken = (event for event in timeline.of(*_DONE) if event.verdict is Verdict.BROKEN)
    page.table(("when", "what", "", "where"), (_row(e, timeline) for e in broken), "Nothing is recorded.")
    page.paragraph("Not covered:")
    page.bullets([*verdict.partial, *_blocked(verdict)], "Nothing is left out.")
    page.paragraph(f"{UNSEEN}:")
    page.bullets(verdict.unseen, "Nowhere is recorded.")
    page.paragraph("Blind spots, exclusions, samples and waivers, as the checks noted them:")
    page.bullets(verdict.notes, "None was noted.")


def _row(event: Event, timeline: Timeline) -> tuple[str, str, str, str]:
    return t_plus(timeline.after(event.at)), event.kind, event.text, event.source


def _blocked(verdict: RunVerdict) -> Iterator[str]:
    for name, phase in verdict.phases.items():
        if phase.checks.blocked:
            reason = phase.first.reason if phase.first else "no reason is recorded"
            yield f"{TITLES.get(name, name)}: {phase.checks.blocked} checks were blocked: {reason}"
