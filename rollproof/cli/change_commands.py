"""The commands `rollproof notify`, `acknowledge` and `reopen`: of a change and its fix."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rollproof.cli.options import Profile
from rollproof.errors import ExitCode

# As that of a change document.
_LARGEST_TEXT = 1024 * 1024
EXAMPLES = {
    "notify_command": ("notify HEAD --target prod.toml --when 'today at 20:00'",),
    "acknowledge_command": ("acknowledge HEAD --target prod.toml --as 'Ada Lovelace'",),
    "reopen_command": ("reopen INCIDENT --target prod.toml --fix HEAD --as Ada --root-cause 'a lock'",),
}

Migration = Annotated[str, typer.Argument(metavar="COMMIT", help="Hash of the commit to be promoted.")]


def notify_command(
    migration: Migration,
    profile: Profile,
    when: Annotated[str | None, typer.Option(metavar="TIME", help="Planned time, in your own words.")] = None,
) -> None:
    """Tell the team of the migration to COMMIT, by every channel of the profile."""
    from rollback_actions.contacts.change_notice import notify
    from rollproof.git.repository import resolve_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    done = notify(target, profile, commit, when, partial(typer.echo, err=True))
    redact = target.redactor().text
    for channel, delivery in done.items():
        typer.echo(redact(f"channel {channel}: {delivery}"))
    if not all(one.delivered for one in done.values()):
        raise typer.Exit(ExitCode.FAILED)


def acknowledge_command(
    migration: Migration,
    profile: Profile,
    name: Annotated[str, typer.Option("--as", help="The engineer who will be there.")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="How it was acknowledged, if not by this command."),
    ] = None,
) -> None:
    """Record that an engineer on call knows of the migration to COMMIT and will be there."""
    from rollback_actions.contacts.change_notice import acknowledge
    from rollproof.git.repository import resolve_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    acknowledge(target, commit, name, source, partial(typer.echo, err=True))
    typer.echo(target.redactor().text(f"acknowledged by {name}: the migration to {commit[:12]}"))


def reopen_command(
    incident: Annotated[str, typer.Argument(help="Incident of the rollback.")],
    profile: Profile,
    fix: Annotated[str, typer.Option(metavar="COMMIT", help="Hash of the commit with the fix.")],
    name: Annotated[str, typer.Option("--as", help="Name of the engineer who reopens.")],
    root_cause: Annotated[
        str, typer.Option(metavar="TEXT", help='Root cause of the failed migration, such as "$(cat FILE)".')
    ],
    rolled_back: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="COMMIT",
            help="Hash of the rolled-back commit, if the incident does not name it.",
        ),
    ] = None,
) -> None:
    """Reopen the gate for the fix of what INCIDENT rolled back; the original stays closed."""
    from rollback_actions.gate.reopening import Request, reopen
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    redact = target.redactor().text
    asked = Request(incident, fix, root_cause, name, rolled_back)
    outcome = reopen(target, asked, partial(typer.echo, err=True))
    found = outcome.reopening
    what = f"incident {found.incident}, for fix {found.fix}"
    if outcome.new:
        typer.echo(redact(f"reopened by {found.name}: {what}"))
    else:
        typer.echo(redact(f"already reopened by {found.name}, {found.at.wall}: {what}; nothing is changed"))
    typer.echo(redact(f"rehearsal: {found.rehearsal}; backup: {found.backup}"))
