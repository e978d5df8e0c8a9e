"""The commands `rollproof contacts …`: the people told of an incident, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import AsJson, IncidentId, Profile
from rollproof.errors import ActionFailed, ExitCode, UsageProblem, did_you_mean, listed
from rollproof.incident.incident import Incident, find_or_create_incident, load_incident, new_incident
from rollproof.record_names import CONTACTS
from rollproof.system.holder import author
from rollproof.system.process import stopping
from rollproof.team.contact_record import ACKNOWLEDGED, ASSESSED, DECIDED, ContactDecision, read_contacts
from rollproof.verdict import combine

if TYPE_CHECKING:
    from rollproof.profile.profile import Target
    from rollproof.team.contact_flow import Flow

EXAMPLES = {
    "run_contacts": ("contacts run --target prod.toml --incident INCIDENT",),
    "acknowledge_contacts": (
        "contacts acknowledge --target prod.toml --incident INCIDENT --as 'Ada Lovelace'",
    ),
    "assessed_contacts": (
        "contacts assessed --target prod.toml --incident INCIDENT --as Ada --root-cause --fix --text 'lock'",
    ),
    "status_contacts": ("contacts status --target prod.toml --incident INCIDENT",),
}

Existing = Annotated[str, typer.Option("--incident", help="The incident.")]
Name = Annotated[str, typer.Option("--as", help="Name of the contact.")]


def run_contacts(
    profile: Profile,
    incident: IncidentId = None,
    severity: Annotated[
        str, typer.Option(help="Severity, in your own words: `rollproof assess` says what the monitor sees.")
    ] = "unknown",
    *,
    once: Annotated[bool, typer.Option("--once", help="Send the alerts that are due now, and end.")] = False,
) -> None:
    """Keep the contact clock of an incident until its post-mortem is called; T+0 is when it first began."""
    from reports.answers.contact_lines import contacts_record, status_lines
    from reports.terminal.progress import Progress
    from rollback_actions.contacts.contacts import ContactClock, lock_of, require_contacts
    from rollback_actions.session.session import unhung
    from rollproof.profile.profile import load_target
    from rollproof.system.file_lock import file_lock
    from rollproof.team.contact_message import acknowledge_command, contact_command

    target = load_target(profile)
    require_contacts(target)
    incidents = target.folders.incidents
    found = (
        find_or_create_incident(incidents, target.name, incident)
        if incident
        else new_incident(incidents, target.name)
    )
    redact = target.redactor().text
    say = Progress().say
    keeping = file_lock(lock_of(found, "clock"), f"keep the contact clock of {found.id}")
    with unhung(), keeping, stopping() as stopped:
        clock = ContactClock(target, profile, found, say, stopped)
        clock.begin(" ".join(severity.split()))
        say(redact(f"to acknowledge: {acknowledge_command(profile, found)}"))
        flow = clock.keep(once=once)
    for line in status_lines(contacts_record(found.id, flow, read_contacts(found.folder))):
        typer.echo(redact(line))
    typer.echo(f"incident: {found.folder}")
    ended_early = stopped() and not flow.over
    if ended_early:
        say(redact(f"nobody keeps the clock; resume it: {contact_command('run', profile, found)}"))
    if flow.undelivered:
        raise _undelivered(profile, found, flow, redact)
    if ended_early:
        raise typer.Exit(ExitCode.INTERRUPTED)


def acknowledge_contacts(
    profile: Profile,
    incident: Existing,
    name: Name,
    decision: Annotated[ContactDecision | None, typer.Option(help="The decision, once it is made.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="How it was acknowledged, if not by this command."),
    ] = None,
) -> None:
    """Record that a contact has taken the incident, and what they decided."""
    from reports.terminal.progress import Progress
    from rollback_actions.contacts.contacts import contact_journal, require_begun

    target, found = _existing(profile, incident)
    _require_contact(target, name)
    redact = target.redactor().text
    with contact_journal(target, found, Progress().say) as journal:
        require_begun(found)
        journal.write(ACKNOWLEDGED, name=name, source=source, **author())
        if decision is not None:
            journal.write(DECIDED, name=name, text=decision, source=source, **author())
    typer.echo(redact(f"acknowledged by {name}: incident {found.id}{f', {decision}' if decision else ''}"))


def assessed_contacts(
    profile: Profile,
    incident: Existing,
    name: Name,
    text: Annotated[str, typer.Option(help="The assessment, in a sentence.")],
    *,
    root_cause: Annotated[
        bool,
        typer.Option("--root-cause/--no-root-cause", help="Whether the root cause is identified."),
    ],
    fix: Annotated[bool, typer.Option("--fix/--no-fix", help="Whether a fix is developed.")],
) -> None:
    """Record that the assessment is complete; the rollback's result is read from the incident."""
    from reports.terminal.progress import Progress
    from rollback_actions.contacts.contacts import contact_journal, require_begun

    target, found = _existing(profile, incident)
    _require_contact(target, name)
    if not text.strip():
        raise UsageProblem(
            what="assessment",
            expected="a sentence",
            observed="none",
            source="--text",
            hint="say what is known of the cause, and what is done about it",
        )
    answers = (
        f"root cause identified: {_yes(root_cause)}; fix developed: {_yes(fix)}; rollback: {_rollback(found)}"
    )
    redact = target.redactor().text
    with contact_journal(target, found, Progress().say) as journal:
        require_begun(found)
        journal.write(ASSESSED, name=name, text=f"{' '.join(text.split())} ({answers})", **author())
    typer.echo(redact(f"assessed by {name}: incident {found.id}, {answers}"))


def status_contacts(profile: Profile, incident: Existing, *, as_json: AsJson = False) -> None:
    """Report the contact flow; exit 0 only when nothing is overdue and every alert still needed arrived."""
    from reports.answers.contact_lines import contacts_record, status_lines
    from reports.terminal.document import answer
    from rollback_actions.contacts.contacts import read_flow

    target, found = _existing(profile, incident)
    flow = read_flow(target, found)
    record = contacts_record(found.id, flow, read_contacts(found.folder))
    code = ExitCode.FAILED if flow.overdue or flow.undelivered else ExitCode.VERIFIED
    answer(record, status_lines, target.redactor().text, code, as_json=as_json)


def _existing(profile: Path, wanted: str) -> tuple[Target, Incident]:
    """Return the target, and its existing incident `wanted`."""
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    # First, since `find_or_create_incident` would create a missing one.
    load_incident(target.folders.incidents / wanted)
    return target, find_or_create_incident(target.folders.incidents, target.name, wanted)


def _require_contact(target: Target, name: str) -> None:
    """Raise `UsageProblem` unless `name` is a contact's name."""
    contacts = target.contacts
    names = (*contacts.on_call.names, *contacts.tech_lead.names) if contacts.on_call.names else ()
    if name.strip() and (not names or name in names):
        return
    raise UsageProblem(
        what="contact",
        expected=f"one of {listed(names)}" if names else "a name",
        observed=repr(name[:80]),
        source="--as, against contacts.on_call.names and contacts.tech_lead.names in the profile",
        hint=did_you_mean(name, names, "name one of the contacts"),
    )


def _yes(answer: bool) -> str:  # noqa: FBT001 - it is the answer
    return "yes" if answer else "no"


def _rollback(incident: Incident) -> str:
    """Return the verdict of the incident's rollback, by its own record."""
    verdicts = incident.rollback_verdicts()
    return combine(verdicts) if verdicts else "none"


def _undelivered(profile: Path, incident: Incident, flow: Flow, redact: Callable[[str], str]) -> ActionFailed:
    """Return the error of alerts that have reached nobody, in this run or an earlier one."""
    from rollproof.team.contact_message import acknowledge_command

    failed = [f"{one.alert}, channel {one.channel}: {one.reason}" for one in flow.undelivered]
    return ActionFailed(
        what=f"alerts of incident {incident.id}",
        expected="one channel at least to take each",
        observed=redact("; ".join(dict.fromkeys(failed))),
        source=str(incident.folder / CONTACTS),
        hint=f"tell them by another way, then: {acknowledge_command(profile, incident)} --from 'a call'",
    )
