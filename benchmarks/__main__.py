"""`./run bench`: what is claimed about speed, measured side by side in one run. Ratios count, not seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measure, Row, compared
from benchmarks.overhead import CHECKS, measure_overhead
from benchmarks.phases import measure_phases
from rollback_actions.guard import guarded
from rollback_actions.progress import Progress
from staging.fresh import fresh_stores
from staging.rehearsal import PROFILE, bring_up_application
from staging.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
NAMES = ("overhead", "phases")


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which of {', '.join(NAMES)}; all.")] = None,
) -> None:
    """Measure side by side; what needs the staging stack brings it up, and takes it down."""
    wanted = names or list(NAMES)
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"expected {', '.join(NAMES)}, observed {', '.join(unknown)}")
    if "overhead" in wanted:
        for workers in (0, 2):
            title = f"{CHECKS:,} trivial checks, {f'-n {workers}' if workers else 'one process'}"
            _show(title, measure_overhead(workers), plain=1)
    if "phases" in wanted:
        stack = Stack(ROOT)
        with Progress() as progress, fresh_stores(stack, progress):
            bring_up_application(stack, progress, 1.0)
            with progress.step("run the four phases both ways"):
                measures = measure_phases(ROOT / PROFILE)
        _show("The four phases of the staging stack", measures, plain=1)


def _show(title: str, measures: list[Measure], plain: int) -> None:
    """Print medians, each with its ratio to `measures[plain]`."""
    table = Table("what", "median, s", "runs, s", "ratio", title=title)
    rows: list[Row] = compared(measures, measures[plain])
    for measure, row in zip(measures, rows, strict=True):
        runs = " ".join(f"{seconds:.2f}" for seconds in measure.seconds)
        table.add_row(measure.name, f"{measure.median:.2f}", runs, f"{row.ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(guarded(app))
