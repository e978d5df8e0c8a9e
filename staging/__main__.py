"""The rehearsal stack's command line, behind `./run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fixtures.errors import ExitCode
from fixtures.git import resolve_commit
from fixtures.verdict import Verdict
from rollback_actions.guard import guarded
from rollback_actions.progress import Progress
from staging.deployment import Deployment
from staging.docker_engine import docker_engine, stop_kept_engine, undisturbed
from staging.drills import round as drill_round
from staging.drills.drill import chosen_drills
from staging.faults.catalogue import chosen
from staging.faults.rounds import RECORD, folder_for, run_round, show
from staging.faults.trial import Trials
from staging.fresh import clear_abandoned, fresh_stores
from staging.kills import walk as kills
from staging.kills.kill import Killer
from staging.packages import install_browser
from staging.rehearsal import Rehearsal, bring_up_application, bring_up_stores
from staging.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
SMALL_SCALE = 0.05
TESTS_SECONDS = 4500

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
Scale = Annotated[
    float,
    typer.Option(envvar="ROLLPROOF_SCALE", min=0.01, max=20, help="Amount of data; 1 is 20,000 chunks."),
]


@app.command()
def rehearsal(scale: Scale = 1.0) -> None:
    """Break a staging stack by a migration, roll it back, verify it, write the record."""
    stack = Stack(ROOT)
    with Progress() as progress, fresh_stores(stack, progress):
        incident, verdict = Rehearsal(stack, progress).run(scale)
    typer.echo(f"verdict: {verdict}")
    typer.echo(f"incident: {incident.folder.relative_to(ROOT)}")
    if verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if verdict is Verdict.FAILED else ExitCode.BROKEN)


@app.command()
def up(scale: Scale = 1.0) -> None:
    """Bring a staging stack up, seeded, and leave it running."""
    stack = Stack(ROOT)
    with Progress() as progress, docker_engine(progress.say, keep=True) as started:
        clear_abandoned(stack, progress, unused=started)
        try:
            bring_up_stores(stack, progress)
            bring_up_application(stack, progress, scale)
        except BaseException:
            with undisturbed():
                stack.down(progress.say)
            raise
    typer.echo("up: http://127.0.0.1:8090; profile targets/staging.toml; ./run down takes it down")


@app.command()
def down() -> None:
    """Take the staging stack down, and the engine if `up` started it."""
    stack = Stack(ROOT)
    with Progress() as progress:
        with docker_engine(progress.say), progress.step("take the stack down"):
            stack.down(progress.say)
        stop_kept_engine(progress.say)


@app.command()
def deploy(commit: Annotated[str, typer.Argument(help="Hash of a commit of the application.")]) -> None:
    """Build, migrate to and start a commit of the application, on a stack that is up."""
    stack = Stack(ROOT)
    full = resolve_commit(stack.state.application, commit)
    deployment = Deployment(stack)
    with Progress() as progress:
        with progress.step(f"build {full[:12]}"):
            deployment.build(full)
        with progress.step(f"migrate to {full[:12]}") as step:
            step.result = deployment.migrate()
        with progress.step(f"start {full[:12]}"):
            deployment.start()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def tests(
    context: typer.Context,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="The longest too that are not today's, but another day's.")
    ] = False,  # noqa: PT028 - a command, no test
) -> None:
    """Run the suite's own tests; those on the real stack share one, brought up for them."""
    stack = Stack(ROOT)
    with Progress() as progress:
        install_browser(progress.say)
    _pytest(["tests/unit", "tests/pytester", "--require-browser", "-n", "2", *context.args])
    with Progress() as progress, fresh_stores(stack, progress):
        bring_up_application(stack, progress, SMALL_SCALE)
        on_stack = ["tests/stack", "--require-stack", *([] if every else ["--today"]), *context.args]
        # In the order of their files: the scope with the fewest tests, which comes last else, takes longest.
        side_by_side = ["-n", "3", "--dist", "loadscope", "--no-loadscope-reorder"]
        _pytest([*on_stack, "-m", "alongside", *side_by_side])
        _pytest([*on_stack, "-m", "not alongside"])


@app.command()
def faults(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or patterns of faults; all if none.")
    ] = None,
    clean_runs: Annotated[int, typer.Option(min=0, help="Runs without a fault that come first.")] = 10,
    scale: Scale = SMALL_SCALE,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep baselines and incidents of all runs.")] = False,
) -> None:
    """Inject each data fault into a staging stack; see that its check catches it."""
    wanted, stack = chosen(names or []), Stack(ROOT)
    record = ROOT / "incidents" / RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=keep) as folder:
        bring_up_application(stack, progress, scale)
        found = run_round(
            Trials(ROOT, folder),
            wanted,
            clean_runs=clean_runs,
            scale=scale,
            progress=progress,
            record=record,
        )
    show(found, Console(highlight=False))
    typer.echo(f"record: {record.relative_to(ROOT)}")
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def killtest(
    names: Annotated[
        list[str] | None, typer.Argument(help="Actions, or patterns of them; all if none.")
    ] = None,
    scale: Scale = SMALL_SCALE,
    *,
    today: Annotated[bool, typer.Option("--today", help="One step of each, another one each day.")] = False,
) -> None:
    """Kill every rollback at every step of its journal, go on with it, and compare the end."""
    stack = Stack(ROOT)
    record = ROOT / "incidents" / kills.RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=False) as folder:
        bring_up_application(stack, progress, scale)
        choose = kills.of_the_day if today else list
        found = kills.walk(Killer(ROOT, folder), stack, names or [], choose, progress, record)
    kills.show(found, Console(highlight=False))
    typer.echo(f"record: {record.relative_to(ROOT)}")
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def drills(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or patterns of drills; all if none.")
    ] = None,
    soak: Annotated[float, typer.Option(min=0, help="Seconds without trouble at the end.")] = 0.0,
    scale: Scale = SMALL_SCALE,
) -> None:
    """Make trouble in a staging stack under load; see that the monitor's samples tell which, and when."""
    wanted, stack = chosen_drills(names or []), Stack(ROOT)
    record = ROOT / "incidents" / drill_round.RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=False) as folder:
        bring_up_application(stack, progress, scale)
        found = drill_round.run_drills(stack, folder, wanted, soak, progress, record)
    drill_round.show(found, Console(highlight=False))
    typer.echo(f"record: {record.relative_to(ROOT)}")
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED)


def _pytest(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, timeout=TESTS_SECONDS, check=False
    )
    if done.returncode != 0:
        raise typer.Exit(done.returncode)


if __name__ == "__main__":
    raise SystemExit(guarded(app))
