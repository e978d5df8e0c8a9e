"""The command line: `python -m rollback_actions …`, with the exit codes of `fixtures.errors.ExitCode`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fixtures.baseline import load_baseline
from fixtures.engines.factory import open_engine
from fixtures.errors import ExitCode
from fixtures.git import head
from fixtures.incident import Incident, find_incident, new_incident
from fixtures.redaction import Redactor
from fixtures.target import Target, load_target
from fixtures.verdict import Verdict, combine
from rollback_actions.backup import new_backup_folder, take_backup
from rollback_actions.capture import capture
from rollback_actions.compare import compare_target
from rollback_actions.compose import ComposeControl
from rollback_actions.emergency import Recorder, plan_emergency, roll_back
from rollback_actions.guard import guarded
from rollback_actions.journal import Journal
from rollback_actions.lock import target_lock
from rollback_actions.progress import Progress
from rollback_actions.stores.factory import open_keepers
from rollback_actions.unfinished import interrupted, refuse_unfinished

app = typer.Typer(
    help="Actions on a target: back up, capture a baseline, roll back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
rollback_app = typer.Typer(help="Roll a target back.", no_args_is_help=True)
app.add_typer(rollback_app, name="rollback")

Profile = Annotated[
    Path,
    typer.Option("--target", envvar="ROLLPROOF_TARGET", help="Profile of the target.", show_default=False),
]
IncidentId = Annotated[
    str | None,
    typer.Option("--incident", help="Incident to add to (default: a new one).", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Session:
    """What every command works with."""

    target: Target
    incident: Incident
    steps: Recorder


@contextmanager
def _session(profile: Path, incident: str | None, what: str) -> Iterator[Session]:
    """Load the profile, take the target's lock, open the journal; say where the record is at the end."""
    target = load_target(profile)
    incidents = target.folders.incidents
    with target_lock(incidents, target.name), Progress() as progress:
        found = (
            find_incident(incidents, target.name, incident)
            if incident
            else new_incident(incidents, target.name)
        )
        redactor = Redactor(target.secrets())
        journal = Journal(found.folder / "journal.jsonl", redactor.text)
        with journal.step(what):
            yield Session(target, found, Recorder(journal, progress))
    typer.echo(f"incident: {found.folder}")


@app.command()
def backup(profile: Profile, incident: IncidentId = None) -> None:
    """Back up every store, side by side, into a new backup set of the current commit."""
    with _session(profile, incident, "backup") as session:
        target = session.target
        refuse_unfinished(target.folders.incidents, target.name)
        engine, control = open_engine(target.engine), ComposeControl(target.engine)
        keepers = open_keepers(target, engine, control)
        folder = new_backup_folder(target.folders.backups, target.name)
        commit = head(target.application.repository)
        taken = take_backup(folder, target.name, commit, keepers, session.steps)
    typer.echo(f"backup: {taken.folder}")


@app.command("capture")
def capture_command(profile: Profile, incident: IncidentId = None) -> None:
    """Capture a baseline: commit, images, record counts, what the canary sees. It becomes the current one."""
    with _session(profile, incident, "capture") as session:
        refuse_unfinished(session.target.folders.incidents, session.target.name)
        folder = capture(session.target, session.steps)
    typer.echo(f"baseline: {folder}")


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
    redactor = Redactor(target.secrets())
    for line in lines:
        typer.echo(redactor.text(line))
    if verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if verdict is Verdict.FAILED else ExitCode.BROKEN)


@rollback_app.command()
def emergency(
    commit: Annotated[str, typer.Argument(help="Hash of the commit to go back to.")],
    profile: Profile,
    incident: IncidentId = None,
) -> None:
    """Put code, images and the data of every store back to what they were at COMMIT."""
    target = load_target(profile)
    # Everything that can be wrong with the wish is found before an incident is opened or a lock taken.
    plan = plan_emergency(target, commit)
    incident = incident or interrupted(target.folders.incidents, target.name, plan.commit)
    with _session(profile, incident, f"rollback emergency {plan.commit}") as session:
        engine, control = open_engine(target.engine), ComposeControl(target.engine)
        record = roll_back(target, plan, session.incident, engine, control, session.steps)
    typer.echo(f"rollback: {record.verdict} in {record.seconds:.1f} s")


def main() -> ExitCode:
    """Run the command line."""
    return guarded(app)


if __name__ == "__main__":
    raise SystemExit(main())
