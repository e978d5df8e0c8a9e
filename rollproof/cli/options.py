"""What several commands have: panels, options, examples. It imports nothing that commands work with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reports.terminal.document import expect_document, expect_no_document
from rollproof.errors import EXIT_CODES_TEXT
from rollproof.home import COMMAND, no_target


def examples(*lines: str) -> str:
    """Return the end of a help: example lines, each without the command's own name, and the exit codes.

    Typer makes one line of each paragraph.
    """
    return "\n\n".join(["Examples:", *(f"{COMMAND} {line}" for line in lines), EXIT_CODES_TEXT])


def _no_target() -> Path:
    raise no_target()


def _expecting(context: typer.Context, *, as_json: bool) -> bool:
    # Errors in the other arguments are then in the document too.
    if as_json:
        expect_document(context.command_path.partition(" ")[2])
    else:
        expect_no_document()
    return as_json


Profile = Annotated[
    Path,
    typer.Option(
        "--target",
        envvar="ROLLPROOF_TARGET",
        help="Profile of the target.",
        default_factory=_no_target,
        show_default=False,
    ),
]
IncidentId = Annotated[
    str | None,
    typer.Option("--incident", help="Incident to add to; an unknown id begins one (default: a new id)."),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document (docs/schemas); messages are on standard error alone.",
        is_eager=True,
        callback=_expecting,
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
Engineer = Annotated[str, typer.Option("--as", help="Name of the engineer who says so.")]
By = Annotated[str | None, typer.Option("--by", help="How it was said, if not by this command: 'a call'.")]
