"""The command line: `python -m rollback_actions …`, with the exit codes of `fixtures.errors.ExitCode`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fixtures.baseline import load_baseline
from fixtures.engines.factory import open_engine
from fixtures.errors import ExitCode
from fixtures.git import head
from fixtures.severity import Severity
from fixtures.target import load_target
from fixtures.verdict import Verdict, combine
from rollback_actions.assess_commands import assess_app
from rollback_actions.backup import new_backup_folder, take_backup
from rollback_actions.bundle_commands import bundle_app
from rollback_actions.capture import capture
from rollback_actions.card import card
from rollback_actions.change_commands import change_app
from rollback_actions.compare import compare_target
from rollback_actions.compose import ComposeControl
from rollback_actions.contact_commands import contacts_app
from rollback_actions.decide import Scope, decide
from rollback_actions.decision import decision_lines
from rollback_actions.gate_commands import gate_app
from rollback_actions.guard import guarded
from rollback_actions.index import write_index
from rollback_actions.lock import open_lock
from rollback_actions.monitor_commands import monitor_app
from rollback_actions.plan import require_services, require_stores
from rollback_actions.refusals import advice_of
from rollback_actions.reopen_commands import reopen_app
from rollback_actions.respond_commands import respond_app
from rollback_actions.rollback_commands import rollback_app
from rollback_actions.saved_state import save_state
from rollback_actions.session import IncidentId, Profile, TakeOver, open_session
from rollback_actions.stores.factory import open_keepers
from rollback_actions.unfinished import refuse_unfinished

app = typer.Typer(
    help="Actions on a target: back up, capture a baseline, roll back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(rollback_app, name="rollback")
app.add_typer(monitor_app)
app.add_typer(change_app)
app.add_typer(gate_app)
app.add_typer(reopen_app)
app.add_typer(assess_app)
app.add_typer(respond_app)
app.add_typer(bundle_app)
app.add_typer(contacts_app, name="contacts")


@app.command()
def backup(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Back up every store, side by side, into a new backup set of the current commit."""
    target = load_target(profile)
    lock = open_lock(target, "backup", take_over=take_over)
    with open_session(target, lock, lambda: incident) as session:
        refuse_unfinished(target.folders.incidents, target.name)
        engine, control = open_engine(target.engine), ComposeControl(target.engine)
        keepers = open_keepers(target, engine, control)
        folder = new_backup_folder(target.folders.backups, target.name)
        commit = head(target.application.repository)
        taken = take_backup(
            folder, target.name, commit, keepers, session.steps, partial(write_index, target, engine)
        )
    typer.echo(f"backup: {taken.folder}")


@app.command("capture")
def capture_command(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Capture a baseline: commit, images, record counts, what the canary sees. It becomes the current one."""
    target = load_target(profile)
    lock = open_lock(target, "capture", take_over=take_over)
    with open_session(target, lock, lambda: incident) as session:
        refuse_unfinished(target.folders.incidents, target.name)
        folder = capture(target, session.steps)
    typer.echo(f"baseline: {folder}")


@app.command("save-state")
def save_state_command(profile: Profile) -> None:
    """Write the commit of the working copy into the file that the profile names, before a migration."""
    target = load_target(profile)
    commit = save_state(target)
    typer.echo(f"saved: {commit} in {target.premigration.state.commit_file}")


@app.command("compare")
def compare_command(
    baseline: Annotated[Path, typer.Argument(help="Folder of the baseline.")], profile: Profile
) -> None:
    """Compare the target with BASELINE, record by record; changes nothing."""
    target = load_target(profile)
    loaded = load_baseline(baseline, target.name, target.baseline_key)
    findings = compare_target(target, open_engine(target.engine), loaded)
    verdict = combine(finding.verdict for finding in findings)
    lines = [
        *(f"{finding.verdict:<6} {finding.store}/{finding.name}: {finding.text}" for finding in findings),
        *(
            f"blind spot of {store}: {spot}"
            for store, content in loaded.facts.contents.items()
            for spot in content.blind_spots
        ),
        f"compared with {loaded.id}: {verdict}",
    ]
    # Keys of records may be secrets themselves, such as tokens of sessions.
    redactor = target.redactor()
    for line in lines:
        typer.echo(redactor.text(line))
    if verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if verdict is Verdict.FAILED else ExitCode.BROKEN)


@app.command("plan")
def plan_command(
    profile: Profile,
    services: Annotated[list[str] | None, typer.Option("--service", help="A service in trouble.")] = None,
    stores: Annotated[list[str] | None, typer.Option("--store", help="A store in trouble.")] = None,
    severity: Annotated[Severity, typer.Option(help="How bad it is.")] = Severity.CRITICAL,
    commit: Annotated[
        str | None, typer.Option(help="Hash of the commit to go back to (default: the known-good one).")
    ] = None,
    *,
    corrupt: Annotated[bool, typer.Option("--corrupt", help="Data is wrong.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="The whole system is in trouble.")] = False,
    still_bad: Annotated[
        bool | None,
        typer.Option("--still-bad/--over", help="What the 5 minutes came to.", show_default=False),
    ] = None,
) -> None:
    """Decide what to do by the runbook's tree and print the exact steps; changes nothing."""
    target = load_target(profile)
    scope = Scope(tuple(services or ()), tuple(stores or ()), corrupt, whole)
    require_services(target, scope.services)
    require_stores(target, scope.stores)
    decision = decide(severity, scope, still_bad=still_bad)
    redact = target.redactor().text
    for line in decision_lines(advice_of(target, profile), decision, commit):
        typer.echo(redact(line))


@app.command("card")
def card_command(profile: Profile) -> None:
    """Print the runbook's command card, filled in for this target and this moment; changes nothing."""
    target = load_target(profile)
    redact = target.redactor().text
    typer.echo(f"EMERGENCY COMMANDS for {target.name}")
    for entry in card(advice_of(target, profile), open_engine(target.engine)):
        typer.echo(f"\n{entry.title}:")
        if entry.command:
            typer.echo(redact(f"  {entry.command}"))
        for line in entry.lines:
            typer.echo(redact(f"    {line}"))


def main() -> ExitCode:
    """Run the command line."""
    return guarded(app)


if __name__ == "__main__":
    raise SystemExit(main())
