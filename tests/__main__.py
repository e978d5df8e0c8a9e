"""The command line of `./run tests`."""

from __future__ import annotations

from typing import Annotated

import typer

from reports.terminal.guard import guarded

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_all(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Walks, long clocks and variants too: hours.")] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="K/N", help="One of N parts of all, the same every day."),
    ] = None,
) -> None:
    """Run the suite's own tests: what computes, while other tests wait for three stacks.

    Other arguments are pytest's.
    """
    from tests.running.all_tests import run  # noqa: PLC0415 - help is said without it

    raise typer.Exit(run(context.args, every=every, part=part))


if __name__ == "__main__":
    raise SystemExit(guarded(app))
