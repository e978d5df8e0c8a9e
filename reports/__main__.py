"""The command line: ``python -m reports FOLDER`` makes an incident's `report.html`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fixtures.errors import Problem
from fixtures.redaction import Redactor
from reports.drawing import draw
from reports.html import render


def main(folder: Annotated[Path, typer.Argument(help="incident folder", file_okay=False)]) -> None:
    """Make report.html from the results of an incident, installing what that needs."""
    try:
        for problem in draw(folder, Redactor()):
            print(problem, file=sys.stderr)  # noqa: T201
        report = render(folder, progress=lambda text: print(text, file=sys.stderr))  # noqa: T201
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        raise typer.Exit(problem.exit_code) from None
    print(report)  # noqa: T201


typer.run(main)
