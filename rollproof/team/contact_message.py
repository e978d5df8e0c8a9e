"""Messages about an incident: the problem, its start, the reason for the recipient, the next command."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from rollproof.errors import Problem, listed
from rollproof.home import started
from rollproof.incident.incident import Incident
from rollproof.monitoring.severity import Assessment, Standing, assess_now, is_monitored, monitored_samples
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment, t_plus
from rollproof.system.command import Command
from rollproof.team.contact_flow import Due, Flow
from rollproof.team.contact_record import Alert, ContactRecord

_DECIDE = (
    "assess at once: look at the monitoring dashboards, verify the severity, decide whether to roll back"
)
_TASKS = {
    Alert.ON_CALL: _DECIDE,
    Alert.ESCALATION: f"take over: {_DECIDE}",
    Alert.TECH_LEAD: "escalate if needed",
    Alert.UNASSESSED: "complete the assessment: root cause identified? fix developed? rollback successful?",
    Alert.POST_MORTEM: "post-mortem: document the incident, update procedures, plan the re-migration",
}
_SHOWN = 5  # findings of a severity


def title_of(target: Target, incident: Incident, alert: Alert) -> str:
    """Return the title of a message."""
    return f"{alert.upper()}: {target.name}, incident {incident.id}"


def body_of(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> str:
    """Return the text of a message, with its secrets still in it."""
    return "\n".join(_lines(target, profile, incident, record, flow, due))


def _lines(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> Iterator[str]:
    yield f"Target: {target.name}"
    yield f"Incident: {incident.id}"
    yield f"Severity: {record.severity}"
    if record.detected is not None:
        yield f"Detected: {record.detected.wall} (T+0); it is {t_plus(flow.elapsed)} now"
        if due.alert is Alert.POST_MORTEM:
            yield f"When: {_wall(record.detected, target.contacts.minutes.post_mortem * 60)}"
    yield f"Why you are told: {due.because}"
    yield f"To do: {_TASKS[due.alert]}"
    for what, words in (
        ("Acknowledged", record.acknowledgements),
        ("Decision", record.decisions),
        ("Assessment", record.assessments),
    ):
        said = words[-1] if words else None
        text = ", ".join(part for part in (said.text, f"by {said.name}") if part) if said else "none yet"
        yield f"{what}: {text}"
    if due.alert is Alert.POST_MORTEM:
        yield f"Record: {incident.folder}"
    elif due.alert is Alert.UNASSESSED:
        yield f"When it is complete: {assessed_command(profile, incident)}"
    else:
        yield f"Acknowledge: {acknowledge_command(profile, incident)} --decision 'roll back'|investigate"


def _wall(zero: Moment, seconds: float) -> str:
    """Return a time of the flow as a calendar shows it."""
    at = datetime.fromisoformat(zero.wall) + timedelta(seconds=seconds)
    return f"{at:%Y-%m-%d %H:%M} UTC ({t_plus(seconds)})"


def acknowledge_command(profile: Path, incident: Incident) -> str:
    """Return the command that acknowledges."""
    return f"{_command('acknowledge', profile, incident)} --as NAME"


def assessed_command(profile: Path, incident: Incident) -> str:
    """Return the command that records the assessment as complete."""
    answers = "--root-cause|--no-root-cause --fix|--no-fix"
    return f"{_command('assessed', profile, incident)} --as NAME {answers} --text TEXT"


def run_command(profile: Path, incident: Incident) -> Command:
    """Return the command that resumes the clock."""
    return _command("run", profile, incident)


def run_words(profile: Path, incident: Incident) -> tuple[str, ...]:
    """Return the words of the same command, after those that start the command line."""
    return ("contacts", *_options("run", profile, incident))


def _command(name: str, profile: Path, incident: Incident) -> Command:
    return Command((*started(), "contacts", *_options(name, profile, incident)))


def _options(name: str, profile: Path, incident: Incident) -> tuple[str, ...]:
    return (name, "--incident", incident.id, f"--target={profile.resolve()}")


def severity_text(target: Target) -> str:
    """Return the severity by the monitor's current samples, in words, without delay or questions."""
    try:
        samples = monitored_samples(target)
    except Problem as problem:
        return f"unknown: {problem.summary}"
    if not is_monitored(target, samples):
        return "unknown: no monitor runs"
    return assessment_text(assess_now(target, samples))


def assessment_text(assessment: Assessment) -> str:
    """Return an assessment's severity, in words."""
    found = [
        f"{finding.band}: {finding.text}"
        for standing in (Standing.MET, Standing.LASTING)
        for finding in assessment.of(standing)
    ]
    return f"{assessment.said}{f' ({listed(found, _SHOWN)})' if found else ''}"
