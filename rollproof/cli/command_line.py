"""The command line: `rollproof …`.

Exit codes are those of `rollproof.errors.ExitCode`. What a command works with is imported when it runs.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from reports.terminal.guard import guarded
from rollproof.cli import (
    after_commands,
    before_commands,
    contact_commands,
    during_commands,
    record_commands,
    rollback_commands,
    set_up_commands,
)
from rollproof.cli.options import examples
from rollproof.errors import ExitCode
from rollproof.home import COMMAND, version

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("capture --target prod.toml", "verify phase1 --target prod.toml"),
)
_DURING = "While something is wrong"
# The commands by the moments of the runbook, which are the panels of the help.
_PANELS = {
    "Set up": set_up_commands.app,
    "Before a migration": before_commands.app,
    _DURING: during_commands.app,
    "After a rollback": after_commands.app,
    "The record": record_commands.app,
}
for panel, commands in _PANELS.items():
    for command in commands.registered_commands:
        command.rich_help_panel = panel
    app.add_typer(commands)
app.add_typer(rollback_commands.app, name="rollback", rich_help_panel=_DURING)
app.add_typer(contact_commands.app, name="contacts", rich_help_panel=_DURING)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"{COMMAND} {version()}")
        raise typer.Exit


@app.callback()
def rollproof(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Prove that a rollback really rolled back: back up, capture a baseline, roll back, verify.

    A profile describes the target: --target, or ROLLPROOF_TARGET.

    Incidents are in the folder that the profile names, else in the checkout or the working folder.

    Tools and locks are in ~/.local/state/rollproof.
    """


def main() -> ExitCode:
    """Run the command line."""
    return guarded(partial(app, prog_name=COMMAND))
