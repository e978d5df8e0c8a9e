"""`postmortem.md`: the incident as its record tells it, with blanks for the facts only people know.

It is made from the incident's folder alone, so it is the same whenever and wherever it is made. People's
text below its last line is kept when the page is rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fixtures.errors import Unverifiable, reason_of
from fixtures.home import typed
from fixtures.reading import read_regular
from fixtures.record_names import POST_MORTEM
from fixtures.redaction.redactor import Redactor
from fixtures.sealing.chain import ANYBODY
from fixtures.system.files import write_whole
from fixtures.target.profile import Signing
from fixtures.verdict import RunVerdict
from reports.incident.incident_record import IncidentRecord, read_record
from reports.postmortem.accounts import data_section
from reports.postmortem.actions import actions_section, downtime_section
from reports.postmortem.failures import failures_section, unverified_section
from reports.postmortem.flow import flow_section, timeline_section
from reports.postmortem.people import people_section
from reports.postmortem.severity import severity_section
from reports.text.page import MARKS, Page
from reports.timeline.timeline import Timeline, timeline_of
from reports.verdict.recount import recounted
from reports.verdict.summary import meaning, signature_of

BY_PEOPLE = "<!-- From here on people write; this part is kept when the record is rebuilt. -->"
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
    """The facts that all sections are made from."""

    record: IncidentRecord
    timeline: Timeline
    verdict: RunVerdict


def write_post_mortem(
    folder: Path, redact: Callable[[str], str] = _TOKENS.text, signing: Signing = ANYBODY
) -> Path:
    """Write the post-mortem of the incident in `folder`, whole or not at all; return its path.

    `signing` says who has to have signed the record.

    Raises:
        UsageProblem: the folder holds no incident, or its incident.json cannot be read.
        Unverifiable: the present one cannot be read, so people's text would be lost; or the new one cannot be
            written.
    """
    path = folder / POST_MORTEM
    try:
        by_people = _by_people(path)
        page = post_mortem(folder, redact, signing)
        text = f"{page}\n{BY_PEOPLE}\n{_BLANKS if by_people is None else redact(by_people)}"
        write_whole(path, text.encode("utf-8", "backslashreplace"), mode=0o644)
    except (OSError, UnicodeDecodeError) as error:
        raise Unverifiable(
            what="post-mortem",
            expected="a file that can be read and written",
            observed=reason_of(error),
            source=str(path),
            hint=f"keep what people wrote there in another file, then: {typed('report FOLDER')}",
        ) from None
    return path


def post_mortem(folder: Path, redact: Callable[[str], str] = _TOKENS.text, signing: Signing = ANYBODY) -> str:
    """Return the post-mortem of the incident in `folder`, as far as its record goes.

    `signing` says who has to have signed the record.

    Raises:
        UsageProblem: the folder holds no incident, or its incident.json cannot be read.
    """
    record = read_record(folder, signing)
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
    page.paragraph(f"This record and its timeline: {signature_of(verdict)}.")
    if facts.timeline.doubts:
        page.paragraph("Of this record the following cannot be trusted; the rest of this page is without it:")
        page.bullets(facts.timeline.doubts, "")


def _by_people(path: Path) -> str | None:
    """Return people's text, below our last line; None if there is no post-mortem yet."""
    if not path.exists():
        return None
    text = read_regular(path).decode()
    before, ours, after = text.partition(f"{BY_PEOPLE}\n")
    # Without our last line, nobody can tell the parts apart: treat the whole text as people's.
    return after if ours else before
