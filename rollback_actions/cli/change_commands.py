"""The commands `python -m rollback_actions notify` and `… acknowledge`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from fixtures.errors import ExitCode
from rollback_actions.cli.options import Profile

EXAMPLES = {
    "notify_command": ("notify HEAD --target prod.toml --when 'today at 20:00'",),
    "acknowledge_command": ("acknowledge HEAD --target prod.toml --as 'Ada Lovelace'",),
}

Migration = Annotated[str, typer.Argument(metavar="COMMIT", help="Hash of the commit to be promoted.")]


def notify_command(
    migration: Migration,
    profile: Profile,
    when: Annotated[
        str | None, typer.Option(help="Planned time, in your own words.", show_default=False)
    ] = None,
) -> None:
    """Tell the team of the migration to COMMIT, by every channel of the profile."""
    from fixtures.git.repository import resolve_commit
    from fixtures.target.profile import load_target
    from rollback_actions.gate.change import notify

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    told = notify(target, profile, commit, when, partial(typer.echo, err=True))
    redact = target.redactor().text
    for one in told:
        what = "delivered" if one.delivery.delivered else f"NOT DELIVERED: {one.delivery.reason}"
        typer.echo(redact(f"channel {one.channel.name}: {what} ({one.delivery.seconds:.1f} s)"))
    if not all(one.delivery.delivered for one in told):
        raise typer.Exit(ExitCode.FAILED)


def acknowledge_command(
    migration: Migration,
    profile: Profile,
    name: Annotated[str, typer.Option("--as", help="The engineer who will be there.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option("--from", help="Means of the acknowledgement, if not this command.", show_default=False),
    ] = None,
) -> None:
    """Record that an engineer on call knows of the migration to COMMIT and will be there."""
    from fixtures.git.repository import resolve_commit
    from fixtures.target.profile import load_target
    from rollback_actions.gate.change import acknowledge

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    acknowledge(target, commit, name, source, partial(typer.echo, err=True))
    typer.echo(target.redactor().text(f"acknowledged by {name}: the migration to {commit[:12]}"))
