"""The commands `rollproof contacts …`: the people who are alerted of an incident, and their answers."""

from __future__ import annotations

from typing import Annotated

import typer

from rollproof.cli.options import By, Engineer, IncidentId, Profile, examples
from rollproof.errors import ExitCode
from rollproof.incident.incident import find_or_create_incident, incident_of, load_incident
from rollproof.system.process import stopping, unhung
from rollproof.team.contact_record import ContactDecision, read_contacts

app = typer.Typer(help="Alert people of an incident by the runbook's contact flow.", no_args_is_help=True)


@app.command(epilog=examples("contacts run --target prod.toml --incident INCIDENT"))
def run(
    profile: Profile,
    incident: IncidentId = None,
    severity: Annotated[
        str, typer.Option(help="Severity, in your own words: `rollproof assess` says what the monitor sees.")
    ] = "unknown",
    *,
    once: Annotated[bool, typer.Option("--once", help="Send the alerts that are due now, and end.")] = False,
) -> None:
    """Keep the contact clock of an incident until its post-mortem is called; T+0 is when it first began."""
    from reports.answers.rollback_lines import contact_lines
    from reports.terminal.progress import Progress
    from rollback_actions.contacts.contacts import ContactClock, require_contacts
    from rollproof.profile.profile import load_target
    from rollproof.team.contact_flow import clock_command

    target = load_target(profile)
    require_contacts(target)
    found = find_or_create_incident(target.folders.incidents, target.name, incident)
    redact, say = target.redactor().text, Progress().say
    with unhung(), stopping() as stopped:
        clock = ContactClock(target, profile, found, say, stopped)
        flow = clock.run(" ".join(severity.split()), once=once)
    for line in contact_lines(flow, read_contacts(found.folder)):
        typer.echo(redact(line))
    typer.echo(f"incident: {found.folder}")
    ended_early = stopped() and not flow.over
    if ended_early:
        say(redact(f"nobody keeps the clock; resume it: {clock_command(profile, found)}"))
    if (failed := clock.undelivered(flow)) is not None:
        raise failed
    if ended_early:
        raise typer.Exit(ExitCode.INTERRUPTED)


@app.command(
    epilog=examples(
        "contacts answer INCIDENT --target prod.toml --as 'Ada Lovelace' --decision 'roll back'",
        "contacts answer INCIDENT --target prod.toml --as Ada --assessment 'a lock; the fix is merged'",
    )
)
def answer(
    incident: Annotated[str, typer.Argument(help="The incident.")],
    profile: Profile,
    name: Engineer,
    decision: Annotated[ContactDecision | None, typer.Option(help="The decision, once it is made.")] = None,
    assessment: Annotated[
        str | None,
        typer.Option(help="The assessment, once it is complete: root cause, fix, result of the rollback."),
    ] = None,
    by: By = None,
) -> None:
    """Record that a contact has taken INCIDENT, what they decided, and their assessment."""
    from reports.terminal.progress import Progress
    from rollback_actions.contacts.contacts import record_answer
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    incidents = target.folders.incidents
    found = incident_of(incidents, target.name, incident) or load_incident(incidents / incident)
    record_answer(target, found, name, decision, assessment, by, Progress().say)
    typer.echo(target.redactor().text(f"recorded: the answer of {name}, incident {found.id}"))
