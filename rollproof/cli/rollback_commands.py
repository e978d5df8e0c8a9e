"""The commands of `rollproof rollback …`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from rollproof.cli.options import Again, AsJson, Confirm, IncidentId, OverBudget, Profile, TakeOver
from rollproof.errors import ExitCode
from rollproof.monitoring.rollback_request import Kind

EXAMPLES = {
    "service": ("rollback service backend --target prod.toml",),
    "database": ("rollback database mysql --target prod.toml",),
    "full": ("rollback full v1.4.2 --target prod.toml",),
    "emergency": (
        "rollback emergency v1.4.2 --target prod.toml",
        "rollback emergency v1.4.2 --target prod.toml --confirm prod",
    ),
    "resume": ("rollback resume --target prod.toml",),
    "let_in": ("rollback let-in --target prod.toml",),
    "status": ("rollback status --target prod.toml",),
    "replay": ("replay incidents/INCIDENT/lost-window/mysql/0000-shop.orders.jsonl --target prod.toml",),
}

Commit = Annotated[str, typer.Argument(help="Hash of the commit to go back to.")]
BackupName = Annotated[
    str | None,
    typer.Option(
        "--backup",
        help="Folder name of the backup set to restore (default: the newest whole one). A named set is "
        "taken even if its index is damaged; all current records are then exported.",
    ),
]


class _Asked(NamedTuple):
    """The rollback that is asked for: `name` is a service, a store or a commit."""

    kind: Kind
    name: str
    backup: str | None = None


def _rolls_back(asked_by: Callable[..., _Asked]) -> Callable[..., None]:
    """Return the command of a rollback, with the options that all such commands have.

    `asked_by` takes, by keyword, its own arguments and options.
    """

    def command(
        profile: Profile,
        incident: IncidentId = None,
        confirm: Confirm = None,
        *,
        take_over: TakeOver = False,
        over_budget: OverBudget = False,
        again: Again = False,
        **own: str | None,
    ) -> None:
        from rollback_actions.rollback.rollback_run import begin
        from rollproof.planning.refusals import Allowed

        asked = asked_by(**own)
        allowed = Allowed(confirm, over_budget, again, take_over)
        begin(profile, asked.kind, asked.name, incident, allowed, asked.backup)

    # Typer reads arguments and options from one signature, and gives each by keyword.
    *shared, _own = signature(command, eval_str=True).parameters.values()
    own = signature(asked_by, eval_str=True).parameters.values()
    given = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*shared, *own)]
    command.__signature__ = Signature(given)  # type: ignore[attr-defined]  # `inspect` looks for it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in given}
    command.__doc__ = asked_by.__doc__
    return command


@_rolls_back
def service(*, name: Annotated[str, typer.Argument(help="A service of the application.")]) -> _Asked:
    """Restore service NAME to the known-good commit's image and configuration."""
    return _Asked(Kind.SERVICE, name)


@_rolls_back
def database(*, name: Annotated[str, typer.Argument(help="A store.")], backup: BackupName = None) -> _Asked:
    """Restore store NAME's data from the known-good commit's backup."""
    return _Asked(Kind.DATABASE, name, backup)


@_rolls_back
def full(*, commit: Commit) -> _Asked:
    """Restore the application's code and images to COMMIT; data stays as it is."""
    return _Asked(Kind.FULL, commit)


@_rolls_back
def emergency(*, commit: Commit, backup: BackupName = None) -> _Asked:
    """Restore code, images and every store's data to COMMIT."""
    return _Asked(Kind.EMERGENCY, commit, backup)


def resume(
    profile: Profile,
    confirm: Confirm = None,
    *,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
) -> None:
    """Resume the newest unfinished rollback, in its incident."""
    from rollback_actions.rollback import rollback_run
    from rollproof.planning.refusals import Allowed

    rollback_run.resume(profile, Allowed(confirm, over_budget, take_over=take_over))


def let_in(
    profile: Profile,
    *,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Let users in although the rollback is not verified.")
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Let users in after a rollback that is verified: take off the maintenance that it left on."""
    from rollback_actions.rollback import rollback_run

    rollback_run.let_in(profile, anyway=anyway, take_over=take_over)


def status(profile: Profile, *, as_json: AsJson = False) -> None:
    """Report how the newest rollback went, step by step, and what to do next; changes nothing."""
    from rollback_actions.rollback.rollback_run import show_status

    show_status(profile, as_json=as_json)


def replay(
    file: Annotated[Path, typer.Argument(help="File of lines in the lost window of an incident.")],
    profile: Profile,
    *,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace records that are there in another version."),
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Put the exported records of FILE back into their store, one by one; exit 1 if some could not be.

    A record that is there in the same version counts as put back; one that is there in another version, as
    after a change since the backup, is reported, and replaced only with --overwrite. A second run changes
    nothing, but for Kafka, and Milvus where it makes the keys itself: these append what is not at its old
    offset or key.
    """
    from rollback_actions.rollback import replay as replaying

    if not replaying.replay(profile, file, overwrite=overwrite, take_over=take_over):
        raise typer.Exit(ExitCode.FAILED)
