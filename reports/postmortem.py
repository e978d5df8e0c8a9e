"""`postmortem.md`: what happened, by the record alone, with blanks for what only people know.

It is made from the folder of the incident and nothing else, so it is the same whenever and wherever it is
made. What people have written below its last line is theirs, and is kept when it is made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fixtures.errors import Unverifiable
from fixtures.files import read_regular, write_whole
from fixtures.redaction import Redactor
from fixtures.verdict import RunVerdict
from reports.incident_record import IncidentRecord, read_record
from reports.page import Page
from reports.postmortem_data import data_section
from reports.postmortem_flow import flow_section, timeline_section
from reports.postmortem_people import people_section
from reports.postmortem_results import failures_section, unverified_section
from reports.postmortem_rollback import actions_section, downtime_section
from reports.postmortem_severity import severity_section
from reports.recount import recounted
from reports.summary import MARKS, meaning
from reports.timeline import Timeline, timeline_of

POST_MORTEM = "postmortem.md"
BY_PEOPLE = "<!-- From here on people write; it is kept when the record is made anew. -->"
# Knows no secret, but what a token looks like; whatever is in the record was redacted when it was written.
_TOKENS = Redactor()
_BLANKS = """
## Root cause analysis

- Root cause identified?
- What made it possible:
- Why it was not seen before (gate, staging test, early checks):
- Fix developed? Its commit:

## Documentation

- Impact on users, and who has told them:
- What went well:
- What did not:
- Procedures to update:

## Re-migration plan

- What has to hold first:
- Rehearsal of the fix in staging:
- Reopened for the fix by:
- When, and who is on call:

| action | owner | due |
|---|---|---|
| | | |
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What all sections are made from."""

    record: IncidentRecord
    timeline: Timeline
    verdict: RunVerdict


def write_post_mortem(folder: Path, redact: Callable[[str], str] = _TOKENS.text) -> Path:
    """Write the post-mortem of the incident in `folder`, whole or not at all, and return its path.

    Raises:
        UsageProblem: the folder is none of an incident, or its incident.json cannot be read.
        Unverifiable: the one that is there cannot be read, so what people wrote would be lost; or it cannot
            be written.
    """
    path = folder / POST_MORTEM
    try:
        by_people = _by_people(path)
        page = post_mortem(folder, redact)
        text = f"{page}\n{BY_PEOPLE}\n{_BLANKS if by_people is None else redact(by_people)}"
        write_whole(path, text.encode("utf-8", "backslashreplace"), mode=0o644)
    except (OSError, UnicodeDecodeError) as error:
        raise Unverifiable(
            what="post-mortem",
            expected="a file that can be read and written",
            observed=getattr(error, "strerror", None) or f"{type(error).__name__}: {error}",
            source=str(path),
            hint="keep what people wrote there in another file, then: python -m reports FOLDER",
        ) from None
    return path


def post_mortem(folder: Path, redact: Callable[[str], str] = _TOKENS.text) -> str:
    """Return the post-mortem of the incident in `folder` as far as its record says it.

    Raises:
        UsageProblem: the folder is none of an incident, or its incident.json cannot be read.
    """
    record = read_record(folder)
    facts = Facts(record, timeline_of(record), recounted(record))
    page = Page(redact)
    _head(page, facts)
    timeline_section(page, record, facts.timeline, facts.verdict)
    flow_section(page, record, facts.timeline, facts.verdict)
    severity_section(page, record, facts.timeline)
    actions_section(page, record, facts.timeline)
    downtime_section(page, record, facts.timeline, facts.verdict)
    data_section(page, record)
    people_section(page, record, facts.timeline)
    failures_section(page, facts.timeline, facts.verdict)
    unverified_section(page, facts.timeline, facts.verdict)
    return page.text()


def _head(page: Page, facts: Facts) -> None:
    incident, verdict = facts.record.incident, facts.verdict
    page.heading(f"Post-mortem of incident {incident.id}", 1)
    mark = MARKS[verdict.verdict]
    page.paragraph(f"{mark} {verdict.verdict.capitalize()}: {meaning(verdict)}.")
    zero = facts.timeline.zero.isoformat(sep=" ", timespec="seconds")
    page.paragraph(f"Target {incident.target}. T+0 is {facts.timeline.zero_is}, {zero}.")
    if facts.timeline.doubts:
        page.paragraph("Of this record the following cannot be trusted; the rest of this page is without it:")
        page.bullets(facts.timeline.doubts, "")


def _by_people(path: Path) -> str | None:
    """Return what stands below the last line of ours, None where there is no post-mortem yet."""
    if not path.exists():
        return None
    text = read_regular(path).decode()
    before, ours, after = text.partition(f"{BY_PEOPLE}\n")
    # Without that line nobody knows what is whose: all of it is theirs.
    return after if ours else before
