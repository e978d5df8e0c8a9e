"""The commands of `rollproof rollback …`."""

from __future__ import annotations

from collections.abc import Callable
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
from rollproof.incident.rollback_request import RollbackKind

app = typer.Typer(help="Roll a target back.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The service, the store, or the hash of the commit to go back to.")]
BackupName = Annotated[
    str | None,
    typer.Option(
        "--backup",
        help="Folder name of the backup set to restore (default: the newest whole one). A named set is "
        "taken even if its index is damaged; all current records are then exported.",
    ),
]


_KINDS = {
    RollbackKind.SERVICE: (
        "Restore service NAME to the known-good commit's image and configuration.",
        "backend",
    ),
    RollbackKind.DATABASE: ("Restore store NAME's data from the known-good commit's backup.", "mysql"),
    RollbackKind.FULL: (
        "Restore the application's code and images to commit NAME; data stays as it is.",
        "v1.4.2",
    ),
    RollbackKind.EMERGENCY: ("Restore code, images and every store's data to commit NAME.", "v1.4.2"),
}


def _command(kind: RollbackKind) -> Callable[..., None]:
    def command(
        name: Name,
        profile: Profile,
        backup: BackupName = None,
        incident: IncidentId = None,
        confirm: Confirm = None,
        *,
        take_over: TakeOver = False,
        over_budget: OverBudget = False,
        again: Again = False,
    ) -> None:
        from rollback_actions.rollback.rollback_run import begin
        from rollproof.planning.refusals import Allowed

        if backup is not None and kind in {RollbackKind.SERVICE, RollbackKind.FULL}:
            raise typer.BadParameter(f"a {kind} rollback restores no data", param_hint="--backup")
        begin(profile, kind, name, incident, Allowed(confirm, over_budget, again, take_over), backup)

    return command


for _kind, (_does, _example) in _KINDS.items():
    _line = f"rollback {_kind} {_example} --target prod.toml"
    app.command(_kind.value, help=_does, epilog=examples(_line, f"{_line} --confirm prod"))(_command(_kind))


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
