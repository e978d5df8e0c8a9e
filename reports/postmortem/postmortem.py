"""What an incident's record comes to, in words: for its post-mortem, and for the report's first screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from reports.incident.events import Event, EventKind, Timeline, counted, met_in, samples_before, timeline_of
from reports.incident.record import IncidentRecord
from reports.text.page import TEMPLATES, TITLES, heading_of, markdown
from reports.verdict.verdict import meaning, signature_of
from rollproof.errors import Meaning, Unverifiable, UsageProblem, reason_of
from rollproof.home import COMMAND, typed
from rollproof.incident.downtime import AGREED, ASSESSED, ENDED, ResponseEnding, Since, is_late, read_downtime
from rollproof.incident.incident import IncidentKind
from rollproof.incident.journal import Step, id_of
from rollproof.incident.ledger import CheckResult
from rollproof.incident.rehearsals import WRITES
from rollproof.incident.severity import BandState, Severity, assess
from rollproof.incident.tally import NEVER_REPORTED
from rollproof.reading import read_regular
from rollproof.record_names import LOST_WINDOW, POST_MORTEM, REVIVED
from rollproof.system.clock import t_plus
from rollproof.system.files import write_page
from rollproof.verdict import PhaseVerdict, RunVerdict, Verdict

FATES = {
    "kept": "there before, and there now as they were",
    "restored": "written since the backup, and back as they were in the backup",
    "exported": "written since the backup, and kept in the lost window",
    "revived": "deleted since the backup, and back with the restore",
    "expired": "over by their own time",
    "unaccounted": "neither there nor exported: LOST, unless they are in the safety copy",
    "unknown": "collections that could not be read: what they held is in the safety copy",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A check, or a step of the rollback, that did not pass: its name in words, its id, reason and hint."""

    words: str
    id: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures with one cause, which `title` names in words."""

    title: str
    verdict: Verdict
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the verdict; `began` is in seconds after T+0, None if no check of it ran."""

    title: str
    began: float | None
    verdict: PhaseVerdict
    counts: str


@dataclass(frozen=True, slots=True)
class Todo:
    """What is to be done, and the command that does it, or ""."""

    text: str
    command: str = ""

    def __str__(self) -> str:
        """Both in a line."""
        return f"{self.text}: {self.command}" if self.command else self.text


@dataclass(frozen=True, slots=True)
class Story:
    """An incident in words. `sentences` say when, who, what, how long, and what became of the data.

    `not_needed` says why a response has rolled nothing back, or "": nothing was to be verified then.
    """

    record: IncidentRecord
    timeline: Timeline
    verdict: RunVerdict
    sentences: tuple[str, ...]
    phases: tuple[Phase, ...]
    causes: tuple[Cause, ...]
    blocked: tuple[str, ...]
    todo: tuple[Todo, ...]
    not_needed: str

    @property
    def meaning(self) -> str:
        """What the verdict means."""
        return (
            "no rollback was needed, and nothing was verified" if self.not_needed else meaning(self.verdict)
        )

    @property
    def signature(self) -> str:
        """Who signs the record."""
        return signature_of(self.verdict)

    @property
    def records(self) -> Mapping[str, int]:
        """What became of the restored stores' records, by fate; {} if no rollback accounted for any."""
        found = _counts(self.record)
        return {name: found[name] for name in FATES if name in found}

    @property
    def late(self) -> tuple[str, ...]:
        """What was later than allowed."""
        return tuple(text for text in (self.verdict.late, self.verdict.late_phases) if text is not None)


def story_of(record: IncidentRecord, verdict: RunVerdict) -> Story:
    """Return the story of a record with that verdict."""
    timeline = timeline_of(record)
    is_change, not_needed = record.incident.kind is IncidentKind.CHANGE, _not_needed(record)
    if not_needed:
        end: tuple[str, ...] = (f"No rollback was needed: {not_needed}.", "No store was changed.")
    else:
        end = (_what(record, timeline, verdict), _outage(record, timeline, verdict), _data(record))
    sentences = (_when(record, timeline), _who(record, timeline), *end)
    causes = (*_failed_steps(record, timeline), *_failed_checks(record, verdict))
    return Story(
        record=record,
        timeline=timeline,
        verdict=verdict,
        sentences=() if is_change else sentences,
        phases=tuple(_phases(timeline, verdict)),
        causes=causes,
        blocked=tuple(_blocked(verdict)),
        todo=() if is_change or not_needed else tuple(_todo(record, verdict)),
        not_needed=not_needed,
    )


def _not_needed(record: IncidentRecord) -> str:
    """Return why the response went on to monitor, or "" if something was rolled back or checked."""
    ended = [entry for entry in record.response if entry["event"] == ENDED]
    touched = record.rollback or record.unfinished or record.runs
    if touched or not ended or ended[-1]["ending"] != ResponseEnding.MONITORING:
        return ""
    return str(ended[-1]["reason"])


def _when(record: IncidentRecord, timeline: Timeline) -> str:
    severity = _severity(record)
    return (
        f"T+0 is {timeline.zero:%d %B %Y, %H:%M:%S} UTC, {timeline.zero_is} of target "
        f"{record.incident.target}; {severity}."
    )


def _severity(record: IncidentRecord) -> str:
    """Return the severity in words, as the response assessed it, else by the monitor's samples."""
    assessed = [entry for entry in record.response if entry["event"] == ASSESSED]
    if assessed:
        severity, met = str(assessed[0]["severity"]), met_in(assessed[0])
    elif samples := samples_before(record):
        found = assess(record.bands[0], samples, record.bands[1])
        severity, met = found.severity, [f"{one.band}: {one.text}" for one in found.of(BandState.MET)]
    else:
        return "no monitor watched it"
    known = f" ({'; '.join(met)})" if met else ""
    return f"it was {'of unknown severity' if severity == Severity.UNKNOWN else severity}{known}"


def _who(record: IncidentRecord, timeline: Timeline) -> str:
    first = dict[str, Event]()
    for event in timeline.of(EventKind.ACKNOWLEDGEMENT):
        first.setdefault(event.text, event)
    parts = [f"{event.text} at {_t(event.at, timeline)}" for event in first.values()]
    agreed = (str(entry["by"]) for entry in record.response if entry["event"] == AGREED)
    begun = [entry for entry in record.journal if (id_ := id_of(entry)) and id_.step is Step.ROLLBACK]
    users = dict.fromkeys(f"{entry['user']} at {entry['host']}" for entry in begun if "user" in entry)
    parts += [f"{name} agreed to the rollback" for name in dict.fromkeys(agreed)]
    parts += [f"{user} ran the rollback" for user in users]
    return f"{'; '.join(parts)}." if parts else "The record names nobody who decided or acted."


def _what(record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> str:
    ended = [event for event in timeline.of(EventKind.ROLLBACK) if event.seconds is not None]
    parts = [f"the {event.text.partition(':')[0]} {_ended(event, timeline)}" for event in ended]
    if record.unfinished is not None:
        parts.append("a rollback began and has not succeeded")
    checks = Counter[str]()
    for phase in verdict.phases.values():
        counts = asdict(phase.checks)
        checks.update({word: count for word, count in counts.items() if count})
    if checks:
        end = _last_check(timeline)
        said = ", ".join(f"{count} {word}" for word, count in checks.items())
        parts.append(f"the last check ended at {_t(end, timeline)}: {said}")
    else:
        parts.append("no check of the rollback has run")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _ended(event: Event, timeline: Timeline) -> str:
    late = f", later than its {event.deadline:g} s" if event.late else ""
    return f"{event.verdict} after {event.seconds:.1f} s, at {_t(event.ends, timeline)}{late}"


def _outage(record: IncidentRecord, timeline: Timeline, verdict: RunVerdict) -> str:
    objective = record.limit("objective")
    allowed = "" if objective is None else f"; the objective is {objective:g} s"
    try:
        recorded = read_downtime(record.incident)
    except UsageProblem as problem:
        return f"How long users were out is not known: {problem.what} cannot be read."
    if recorded is not None and verdict.verified:
        judged = "was exceeded" if recorded.late else "was met"
        return (
            f"Users were out for {recorded.seconds:.0f} s, from {recorded.since_is} to the verified end; "
            f"the objective of {recorded.objective:g} s {judged}."
        )
    if timeline.zero_is == Since.START:
        return "No outage is recorded."
    if verdict.verified:
        seconds = (_last_check(timeline) - timeline.zero).total_seconds()
        return f"Users were out for {seconds:.0f} s, from {timeline.zero_is} to the last check{allowed}."
    least = (timeline.end - timeline.zero).total_seconds()
    exceeded = ", and is exceeded" if objective is not None and is_late(least, objective) else ""
    return (
        f"No verified end of the outage is recorded: {least:.0f} s passed from {timeline.zero_is} to the "
        f"last event of this record{allowed}{exceeded}."
    )


def _last_check(timeline: Timeline) -> datetime:
    """Return when the last phase ended; the end of the last event without one."""
    return max((event.ends for event in timeline.of(EventKind.PHASE)), default=timeline.end)


def _data(record: IncidentRecord) -> str:
    counts, last = _counts(record), record.rollback
    if last is None:
        return "No end of a rollback is recorded, so none says what became of the data."
    if last.records is None and not last.request.restores_data:
        return f"The {last.kind} rollback put no data back."
    if last.records is None:
        return "The rollback ended before its accounts: what became of the data is not known."
    fates = [f"{counts[name]:,} {name}" for name in FATES if counts.get(name) and name != "unaccounted"]
    lost = counts.get("unaccounted", 0)
    end = f"{lost:,} are unaccounted for" if lost else "none is unaccounted for"
    users = [f" {entry['text']}" for entry in record.journal if entry["event"] == WRITES][-1:]
    return f"Of the records of the restored stores, {', '.join(fates)}; {end}.{''.join(users)}"


def _counts(record: IncidentRecord) -> Mapping[str, int]:
    """Return the numbers of records by fate; {} if no rollback accounted for any."""
    return (record.rollback.records or {}) if record.rollback is not None else {}


def _phases(timeline: Timeline, verdict: RunVerdict) -> Iterator[Phase]:
    events = timeline.of(EventKind.PHASE)
    began = {event.text.partition(", run ")[0]: timeline.after(event.at) for event in events}
    for name, phase in verdict.phases.items():
        yield Phase(TITLES[name], began.get(TITLES[name]), phase, counted(phase))


def _failed_steps(record: IncidentRecord, timeline: Timeline) -> Iterator[Cause]:
    """Yield the steps at which a rollback that has not passed ended."""
    rollback = record.rollback
    if record.unfinished is None and (rollback is None or rollback.verdict is Verdict.PASSED):
        return
    since = max((event.at for event in timeline.of(EventKind.ROLLBACK)), default=timeline.zero)
    steps = [
        event
        for event in timeline.of(EventKind.ACTION)
        if event.verdict in {Verdict.FAILED, Verdict.BROKEN} and event.at >= since
    ]
    inner = [event for event in steps if event.step is not Step.ROLLBACK] or steps
    for event in inner[-1:]:
        words, _, reason = event.text.partition(": ")
        yield Cause("the rollback", event.verdict or Verdict.BROKEN, (Failure(words, event.source, reason),))


def _failed_checks(record: IncidentRecord, verdict: RunVerdict) -> Iterator[Cause]:
    """Yield the failed and broken checks of the verdict's phases, each once, by their cause."""
    latest = dict[str, CheckResult | None]()
    for run in record.runs:
        for name in verdict.phases:
            if name in run.plan:
                latest |= {check: run.results.get(check) for check in run.plan[name].checks}
    red = {
        check: result
        for check, result in latest.items()
        if result is None or result.verdict in {Verdict.FAILED, Verdict.BROKEN}
    }
    shared = Counter(_reason(result) for result in red.values())
    groups = dict[tuple[str, Verdict], list[Failure]]()
    for check, result in red.items():
        reason, found = _reason(result), Verdict.BROKEN if result is None else result.verdict
        title = reason if shared[reason] > 1 else _title(check, result)
        hint = "" if result is None else result.hint
        groups.setdefault((title, found), []).append(Failure(heading_of(check), check, reason, hint))
    order = [Verdict.FAILED, Verdict.BROKEN]
    for (title, found), failures in sorted(groups.items(), key=lambda item: order.index(item[0][1])):
        yield Cause(title, found, tuple(failures))


def _reason(result: CheckResult | None) -> str:
    return NEVER_REPORTED if result is None else result.reason


def _title(check: str, result: CheckResult | None) -> str:
    """Return a cause in words: the store or service of the check, and what the error means."""
    case = check.partition("[")[2].removesuffix("]")
    of = case.partition("/")[0] or heading_of(check)
    means = Meaning.OTHER if result is None else result.means
    return of if means is Meaning.OTHER else f"{of}: {means.value.replace('-', ' ')}"


def _blocked(verdict: RunVerdict) -> Iterator[str]:
    for name, phase in verdict.phases.items():
        if phase.checks.blocked:
            reason = phase.first.reason if phase.first else "no reason is recorded"
            yield f"{TITLES[name]}: {phase.checks.blocked} checks were not tried: {reason}"


def _todo(record: IncidentRecord, verdict: RunVerdict) -> Iterator[Todo]:
    rollback, counts, incident = record.rollback, _counts(record), record.incident.id
    again = f"{COMMAND} verify verification"
    if record.unfinished is not None:
        yield Todo("Finish the rollback", f"{COMMAND} rollback resume")
    if verdict.verdict is Verdict.FAILED and not verdict.verified:
        yield Todo("Mend what failed, then verify again", again)
    elif verdict.verdict is not Verdict.PASSED and not verdict.verified:
        yield Todo("See to what could not be verified, then verify again", again)
    if rollback is not None and counts.get("unaccounted"):
        copies = ", ".join(rollback.copies) or "the safety copy of the rollback"
        yield Todo(f"Look for the {counts['unaccounted']:,} unaccounted records in {copies}")
    if counts.get("exported"):
        window = next(iter(record.accounts), LOST_WINDOW)
        file = f"incidents/{incident}/{window}/STORE/FILE"
        yield Todo("Decide what users get back", f"{COMMAND} replay {file}")
    if counts.get("revived"):
        window = next(iter(record.accounts), LOST_WINDOW)
        file = f"incidents/{incident}/{window}/STORE/{REVIVED}"
        yield Todo(
            f"Decide whether the {counts['revived']:,} records that users had deleted go again",
            f"{COMMAND} replay --deletions {file}",
        )
    if verdict.verified:
        if rollback is not None and rollback.records is not None and rollback.blind:
            yield Todo("Ask the owners of what may have written unseen (see the known limits) whether it did")
        reopen = f"{COMMAND} reopen {incident}"
        yield Todo(f"Write the root cause into {POST_MORTEM}; the gate opens again by", reopen)
        yield Todo("Hand the record on", f"{COMMAND} bundle {incident}")


def _t(moment: datetime, timeline: Timeline) -> str:
    return t_plus(timeline.after(moment))


BY_PEOPLE = "<!-- From here on people write; this part is kept when the record is rebuilt. -->"
# A monitor that changes its word with each beat would fill pages that say no more.
_MOST_SAMPLES = 20
_SHOWN, _LONGEST = 5, 300


def write_post_mortem(folder: Path, story: Story, redact: Callable[[str], str]) -> Path:
    """Write the post-mortem of the incident in `folder`, whole or not at all; return its path."""
    path = folder / POST_MORTEM
    try:
        by_people = _by_people(path)
        below = (TEMPLATES / "by_people.md").read_text() if by_people is None else redact(by_people)
        text = f"{post_mortem(story, redact)}\n{BY_PEOPLE}\n{below}"
        write_page(path, text)
    except (OSError, UnicodeDecodeError) as error:
        raise Unverifiable(
            what="post-mortem",
            expected="a file that can be read and written",
            observed=reason_of(error),
            source=str(path),
            hint=f"keep what people wrote there in another file, then: {typed('report FOLDER')}",
        ) from None
    return path


def post_mortem(story: Story, redact: Callable[[str], str]) -> str:
    """Return the part of the post-mortem that is made from the record."""
    events = [
        event for event in story.timeline.events if event.kind not in {EventKind.ACTION, EventKind.NOTE}
    ]
    shown = _spared(events)
    return markdown(
        "postmortem.md.jinja",
        redact,
        story=story,
        events=shown,
        left_out=len(events) - len(shown),
        actions=story.timeline.of(EventKind.ACTION),
        notes=story.timeline.of(EventKind.NOTE),
        records=story.records,
        fates=FATES,
        command=COMMAND,
        shown=_SHOWN,
        longest=_LONGEST,
    )


def _spared(events: Sequence[Event]) -> list[Event]:
    """Return `events` without the changes of the monitor between the first and the last few."""
    samples = [event for event in events if event.kind is EventKind.SAMPLE]
    half = _MOST_SAMPLES // 2
    left_out = samples[half:-half] if len(samples) > _MOST_SAMPLES else []
    return [event for event in events if event not in left_out]


def _by_people(path: Path) -> str | None:
    """Return people's text, below our last line; None if there is no post-mortem yet."""
    if not path.exists():
        return None
    text = read_regular(path).decode()
    before, ours, after = text.partition(f"{BY_PEOPLE}\n")
    # Without our last line, nobody can separate the parts: treat the whole text as people's.
    return after if ours else before
