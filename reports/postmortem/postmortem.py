"""`postmortem.md`: the incident as its record tells it, with blanks for the facts only people know.

It is made from the incident's folder alone, so it is the same whenever and wherever it is made. People's
text below its last line is kept when the page is rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord, read_record
from reports.incident.limits import is_seconds, limit_of
from reports.postmortem.flow import flow_section, timeline_section
from reports.postmortem.people import people_section
from reports.postmortem.severity import severity_section
from reports.text.page import MARKS, Page
from reports.text.stages import TITLES
from reports.timeline.rollback import ended_rollbacks, wanted
from reports.timeline.timeline import Timeline, timeline_of
from reports.verdict.recount import recounted
from reports.verdict.summary import UNSEEN, meaning, signature_of
from rollproof.errors import Unverifiable, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.incident.downtime import Downtime, downtime_of, is_late
from rollproof.incident.incident import StoreAccount
from rollproof.incident.response_record import ENDED
from rollproof.profile.profile import Signing
from rollproof.reading import read_regular
from rollproof.record_names import ACCOUNTS, POST_MORTEM
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.seal import ANYBODY
from rollproof.system.clock import t_plus
from rollproof.system.files import write_whole
from rollproof.system.record_files import as_json
from rollproof.verdict import RunVerdict, Verdict

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
class IncidentFacts:
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
    facts = IncidentFacts(record, timeline_of(record), recounted(record))
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


def _head(page: Page, facts: IncidentFacts) -> None:
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


def actions_section(page: Page, record: IncidentRecord, timeline: Timeline) -> None:
    """Write the steps of all actions, each with its duration and its deadline."""
    page.heading("Actions")
    origin = record.rollback.origin if record.rollback else None
    if origin is not None:
        page.paragraph(f"Rolled back from {', '.join(origin.commits)}.")
    rows = (
        (
            t_plus(timeline.after(event.at)),
            f"{MARKS[event.verdict]} {event.text}" if event.verdict else event.text,
            None if event.seconds is None else f"{event.seconds:.1f} s",
            None if event.deadline is None else f"{event.deadline:.1f} s",
            "LATE" if event.late else None,
        )
        for event in timeline.of(Kind.ROLLBACK, Kind.DEPLOYMENT, Kind.ACTION)
    )
    page.table(("when", "step", "took", "deadline", ""), rows, "No action is recorded.")


def downtime_section(page: Page, record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> None:
    """Write the downtime, and compare it with the recovery time objective."""
    page.heading("Downtime")
    page.table(("", "observed", "objective", ""), _downtime(record, timeline, verdict), "")


def _downtime(
    record: IncidentRecord, timeline: Timeline, verdict: RunVerdict
) -> Iterator[tuple[str, str, str, str]]:
    objective = limit_of(record, "objective")
    seconds, what = _seconds(record, timeline, verdict)
    if seconds is None:
        least = (timeline.end - timeline.down).total_seconds()
        judged = "exceeded" if is_late(least, objective.seconds) else "not known"
        yield "downtime", f"no verified end; {least:.0f} s to the end of the record", str(objective), judged
    else:
        judged = "EXCEEDED" if is_late(seconds, objective.seconds) else "within"
        yield f"downtime, {what}", f"{seconds:.0f} s", str(objective), judged
    if verdict.rto_seconds is not None and verdict.phases:
        # The objective does not apply here: the outage began before the rollback.
        text = f"{verdict.rto_seconds:.0f} s"
        yield "from the start of the rollback to the end of the last check", text, "", ""


def _recorded(record: IncidentRecord) -> Downtime | None:
    """Return the downtime that the verification recorded for this rollback, or None."""
    try:
        return downtime_of(record.incident, record.rollback)
    except UsageProblem:
        return None  # the verdict reports it


def _seconds(record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> tuple[float | None, str]:
    """Return the downtime in seconds (None if no end is verified), and its two ends in words."""
    phases: tuple[Event, ...] = timeline.of(Kind.PHASE)
    verified = verdict.verified and bool(phases)
    downtime = _recorded(record) if verified else None
    if downtime is not None:
        return downtime.seconds, f"from {downtime.since_is} to the verified end"
    ended = [entry.get("downtime_seconds") for entry in record.response if entry["event"] == ENDED]
    if ended and is_seconds(ended[-1]):
        return float(ended[-1]), "from the first bad sample to the verified end, as the response has it"
    if not verified:
        return None, ""
    end = max(event.ends for event in phases)
    down = (end - timeline.down).total_seconds()
    return down, f"from {timeline.down_is} to the end of the last check"


_MEANINGS = {
    "kept": "there before, and there now as it was",
    "restored": "written since the backup, and back as it was in the backup",
    "exported": "written since the backup, and kept in the lost window",
    "revived": "deleted since the backup, and back with the restore",
    "expired": "over by its own time",
    "unaccounted": "neither there nor exported: LOST, unless it is in the safety copy",
    "unknown": "collections that could not be read: what they held is in the safety copy",
}


def data_section(page: Page, record: IncidentRecord) -> None:
    """Write the total counts, the counts by store, and the folder that keeps the removed records."""
    page.heading("Data")
    if record.rollback is None or record.rollback.records is None:
        page.paragraph(_none(record))
    told = [one for one in ended_rollbacks(record).values() if one.records is not None]
    for rollback in told:
        if record.earlier_rollbacks:
            page.heading(f"What the {wanted(rollback.kind, rollback.names, rollback.commit)} came to", 3)
        page.table(
            ("records", "how many", "meaning"),
            ((name, f"{count:,}", _MEANINGS.get(name)) for name, count in (rollback.records or {}).items()),
            "No record is counted.",
        )
    if record.accounts and not told:
        page.paragraph("The counts of the whole are not recorded.")
    for window, accounts in record.accounts.items():
        page.heading(f"By store, {window}", 3)
        names = list(dict.fromkeys(name for one in accounts.values() for name in _counts(one)))
        rows = ((store, *(_counts(one).get(name) for name in names)) for store, one in accounts.items())
        page.table(("store", *names), rows, "No store is accounted for.")
        unknown = [text for store, one in accounts.items() for text in _unknown(store, one)]
        if unknown:
            page.paragraph("Not known:")
            page.bullets(unknown, "")
        page.paragraph(f"The first of each store that are unaccounted are named in {window}/{ACCOUNTS}.")
    _kept(page, record)


def _none(record: IncidentRecord) -> str:
    if record.rollback is None:
        return "The record has no end of a rollback: the fate of the data is unknown."
    if not record.rollback.request.restores_data:
        last = ", the last of this incident," if record.earlier_rollbacks else ""
        return f"A {record.rollback.kind} rollback{last} puts no data back."
    return "The rollback ended before the accounts: the fate of the data is unknown."


def _kept(page: Page, record: IncidentRecord) -> None:
    if record.lost_windows:
        page.paragraph(
            f"Records written since the backup are in {', '.join(record.lost_windows)}, beside this page on "
            "the rollback's machine. They are the data of users: do not attach them, or any of them, here."
        )


def _counts(account: StoreAccount) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in as_json(account).items() if isinstance(count, int)}


def _unknown(store: str, account: StoreAccount) -> Iterator[str]:
    yield from (f"{store}, {name}: {reason}" for name, reason in account.unknown.items())
