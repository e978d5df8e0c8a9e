"""Options that several commands have. It imports nothing that commands work with: help is said by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[
    Path,
    typer.Option("--target", envvar="ROLLPROOF_TARGET", help="Profile of the target."),
]
IncidentId = Annotated[
    str | None,
    typer.Option("--incident", help="Incident to add to; an unknown id begins one (default: a new id)."),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document (docs/schemas); messages are on standard error alone."
    ),
]
"""What a command with `reports.terminal.document.answer` has, as the parameter `as_json`."""
# The permissions to override refusals of a rollback: see `rollproof.planning.refusals.Allowed`.
Confirm = Annotated[
    str | None,
    typer.Option(metavar="TARGET", help="Name of the target, required when it is protected."),
]
OverBudget = Annotated[
    bool,
    typer.Option("--over-budget", help="Roll back although the plan is expected to exceed its time budget."),
]
Again = Annotated[bool, typer.Option("--again", help="Repeat a rollback within the hold time.")]
TakeOver = Annotated[
    bool,
    typer.Option("--take-over", help="Take over the target's lock when its holder has ended."),
]
