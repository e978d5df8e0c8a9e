"""`verify` of many targets: the same words for each, a table, a page, and the exit code of the worst."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from reports.answers.fleet import causes, counted, head, row, write_fleet
from reports.run.fleet_run import import_all, run_checks
from reports.verdict.verdict import shown_folder
from rollproof.errors import ExitCode, UsageProblem
from rollproof.fleet.side_by_side import RunEnd, find_targets, verify_targets
from rollproof.home import incidents
from rollproof.runbook import PHASES, STEPS
from rollproof.system.files import make_folders
from rollproof.verdict import code_of_verdict, combine

# What one target alone can have: its record, and a file that its run writes.
_OF_ONE_TARGET = frozenset({"--target", "--incident", "--junit-xml", "--log-file", "--alluredir"})


def verify_fleet(
    patterns: Sequence[str],
    words: Sequence[str],
    arguments: Callable[[Sequence[str]], list[str]],
    *,
    folder: Path | None,
    junit: Path | None,
    at_once: int | None,
) -> ExitCode:
    """Run the checks of all targets; `arguments` makes pytest's of `words`, which are the same for each."""
    for word in words:
        # A shell that expands a pattern leaves its other files here.
        if word.partition("=")[0] in _OF_ONE_TARGET or word.endswith(".toml"):
            raise UsageProblem(
                what="options next to --targets",
                expected="none that is of one target alone",
                observed=word,
                source="the command line",
                hint="leave it out, or verify one target with --target; quote the pattern of --targets",
            )
    profiles, started = find_targets(patterns), time.monotonic()
    stages = STEPS if {"premigration", *STEPS} & {*words} else PHASES
    folder = folder or incidents() / f"fleet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    make_folders(folder)
    import_all(arguments([]))

    def check(name: str, report: Callable[[RunEnd], None]) -> int:
        file = (junit or folder) / f"{name}.xml"
        # The folder of pytest's cache would be shared.
        own = ["-p", "no:cacheprovider", f"--target={profiles[name]}", f"--junitxml={file}"]
        return run_checks(arguments([*words, *own]), report)

    typer.echo(head(stages))
    outcomes, interrupted = verify_targets(
        profiles,
        check,
        folder,
        at_once or len(os.sched_getaffinity(0)),
        lambda outcome: typer.echo(row(outcome, stages)),
    )
    verdict = combine(outcome.verdict for outcome in outcomes)
    page = folder / "fleet.html"
    write_fleet(page, verdict, outcomes, stages)
    for line in causes(outcomes):
        typer.echo(line)
    end = "interrupted" if interrupted else verdict
    typer.echo(
        f"{end.upper()}: {counted(outcomes)} in {time.monotonic() - started:.1f} s; {shown_folder(page)}"
    )
    return ExitCode.INTERRUPTED if interrupted else code_of_verdict(verdict)
