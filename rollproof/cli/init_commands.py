"""The command `init` of `rollproof`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollproof.errors import UsageProblem

EXAMPLES = {
    "init_command": (
        "init --project shop",
        "init --file docker-compose.yml --output shop.toml",
    ),
}


def init_command(
    project: Annotated[
        str | None,
        typer.Option(help="A compose project that runs: it is asked, and nothing in it is changed."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="A compose file; may be repeated, in the order of docker compose. Needs no engine."
        ),
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The environment file that docker compose is given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The profile to write (default: NAME.toml here)."
        ),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a profile for a compose project, and ask what it could not find out; changes nothing there."""
    from rollproof.init.initial import write_profile

    if project is None and not file:
        raise UsageProblem(
            what="init",
            expected="--project NAME of a running project, or --file of a compose file",
            observed="neither",
            source="the command line",
            hint="docker compose ls names the running projects",
        )
    for line in write_profile(project, tuple(file or ()), env_file, output, force=force):
        typer.echo(line)
