"""Messages about an incident: the problem, its start, the reason for the recipient, the next command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rollproof.errors import listed
from rollproof.home import COMMAND
from rollproof.incident.incident import Incident
from rollproof.incident.severity import Assessment, Standing
from rollproof.profile.profile import Target
from rollproof.system.clock import t_plus
from rollproof.system.command import Command
from rollproof.team.contact_flow import Due, Flow
from rollproof.team.contact_record import Alert, ContactRecord

_ASSESS = "look at the monitoring dashboards, verify the severity, decide whether to roll back"
_TASKS = {
    Alert.ON_CALL: f"assess at once: {_ASSESS}",
    Alert.TECH_LEAD: f"escalate if needed; where nobody has taken it, take over: {_ASSESS}",
    Alert.UNASSESSED: "assess: root cause identified? fix developed? rollback successful?",
    Alert.POST_MORTEM: "post-mortem: document the incident, update procedures, plan the re-migration",
}
_SHOWN = 5  # findings of a severity


def message(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> tuple[str, str]:
    """Return the title and the text of a message, with its secrets still in it."""
    title = f"{due.alert.upper()}: {target.name}, incident {incident.id}"
    return title, "\n".join(_lines(target, profile, incident, record, flow, due))


def _lines(
    target: Target, profile: Path, incident: Incident, record: ContactRecord, flow: Flow, due: Due
) -> Iterator[str]:
    yield f"Target: {target.name}"
    yield f"Incident: {incident.id}"
    yield f"Severity: {record.severity}"
    if record.detected is not None:
        yield f"Detected: {record.detected.wall} (T+0); it is {t_plus(flow.elapsed)} now"
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
        yield f"Then: {answer_command(profile, incident)} --assessment TEXT"
    else:
        yield f"Acknowledge: {answer_command(profile, incident)} --decision 'roll back'|investigate"


def answer_command(profile: Path, incident: Incident) -> Command:
    """Return the command by which a contact answers."""
    words = ("contacts", "answer", incident.id, f"--target={profile.resolve()}", "--as", "NAME")
    return Command((COMMAND, *words))


def clock_command(profile: Path, incident: Incident) -> Command:
    """Return the command that keeps the contact clock, or resumes it."""
    return Command((COMMAND, "contacts", "run", f"--incident={incident.id}", f"--target={profile.resolve()}"))


def assessment_text(assessment: Assessment) -> str:
    """Return an assessment's severity, in words."""
    found = [
        f"{finding.band}: {finding.text}"
        for standing in (Standing.MET, Standing.LASTING)
        for finding in assessment.of(standing)
    ]
    return f"{assessment.said}{f' ({listed(found, _SHOWN)})' if found else ''}"
