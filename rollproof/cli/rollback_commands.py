"""The commands of `rollproof rollback …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import (
    Again,
    AsJson,
    Confirm,
    IncidentId,
    OverBudget,
    Profile,
    TakeOver,
    examples,
)
from rollproof.monitoring.rollback_request import Kind

app = typer.Typer(help="Roll a target back.", no_args_is_help=True)

Commit = Annotated[str, typer.Argument(help="Hash of the commit to go back to.")]
BackupName = Annotated[
    str | None,
    typer.Option(
        "--backup",
        help="Folder name of the backup set to restore (default: the newest whole one). A named set is "
        "taken even if its index is damaged; all current records are then exported.",
    ),
]


@app.command(epilog=examples("rollback service backend --target prod.toml"))
def service(
    name: Annotated[str, typer.Argument(help="A service of the application.")],
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Restore service NAME to the known-good commit's image and configuration."""
    _begin(profile, Kind.SERVICE, name, incident, (confirm, over_budget, again, take_over))


@app.command(epilog=examples("rollback database mysql --target prod.toml"))
def database(
    name: Annotated[str, typer.Argument(help="A store.")],
    profile: Profile,
    backup: BackupName = None,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Restore store NAME's data from the known-good commit's backup."""
    _begin(profile, Kind.DATABASE, name, incident, (confirm, over_budget, again, take_over), backup)


@app.command(epilog=examples("rollback full v1.4.2 --target prod.toml"))
def full(
    commit: Commit,
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Restore the application's code and images to COMMIT; data stays as it is."""
    _begin(profile, Kind.FULL, commit, incident, (confirm, over_budget, again, take_over))


@app.command(
    epilog=examples(
        "rollback emergency v1.4.2 --target prod.toml",
        "rollback emergency v1.4.2 --target prod.toml --confirm prod",
    )
)
def emergency(
    commit: Commit,
    profile: Profile,
    backup: BackupName = None,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Restore code, images and every store's data to COMMIT."""
    _begin(profile, Kind.EMERGENCY, commit, incident, (confirm, over_budget, again, take_over), backup)


def _begin(
    profile: Path,
    kind: Kind,
    name: str,
    incident: str | None,
    permissions: tuple[str | None, bool, bool, bool],
    backup: str | None = None,
) -> None:
    from rollback_actions.rollback.rollback_run import begin
    from rollproof.planning.refusals import Allowed

    begin(profile, kind, name, incident, Allowed(*permissions), backup)


@app.command(epilog=examples("rollback resume --target prod.toml"))
def resume(
    profile: Profile,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
) -> None:
    """Resume the newest unfinished rollback, in its incident."""
    from rollback_actions.rollback.rollback_run import resume
    from rollproof.planning.refusals import Allowed

    resume(profile, Allowed(confirm, over_budget, take_over=take_over))


@app.command(epilog=examples("rollback let-in --target prod.toml"))
def let_in(
    profile: Profile,
    *,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Let users in although the rollback is not verified.")
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Let users in after a rollback that is verified: take off the maintenance that it left on."""
    from rollback_actions.rollback.rollback_run import let_in

    let_in(profile, anyway=anyway, take_over=take_over)


@app.command(epilog=examples("rollback status --target prod.toml"))
def status(profile: Profile, *, as_json: AsJson = False) -> None:
    """Report how the newest rollback went, step by step, and what to do next; changes nothing."""
    from rollback_actions.rollback.rollback_run import show_status

    show_status(profile, as_json=as_json)
