"""The commands of `python -m staging`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from rollproof.git.repository import resolve_commit
from rollproof.verdict import Verdict
from staging.rehearsal.pace import RehearsalPace
from staging.rounds import Round, chosen, folder_for
from staging.stack.fresh_stacks import (
    bring_up_stores,
    every_slot,
    fresh_stacks,
    refuse_if_used,
    take_down_abandoned,
)
from staging.stack.shape import Shape
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
SMALL_SCALE = 0.05

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A staging stack: rehearse, break and verify on it.",
)
Scale = Annotated[
    float,
    typer.Option(envvar="ROLLPROOF_SCALE", min=0.01, max=20, help="Amount of data; 1 is 20,000 chunks."),
]
Names = Annotated[list[str] | None, typer.Argument(help="Names, or patterns of names; all if none.")]
AsShape = Annotated[
    Shape,
    typer.Option(
        "--shape",
        "--app",
        "--engine",
        help="LAYRA as usual, or as strangers deploy it; the notebook, or the notebook on a swarm.",
    ),
]


@app.command()
def rehearsal(
    scale: Scale = 1.0,
    shape: AsShape = Shape.USUAL,
    pace: Annotated[
        RehearsalPace, typer.Option(help="How long to wait between the runbook's parts.")
    ] = RehearsalPace.QUICK,
) -> None:
    """Break a staging stack by a migration, roll it back, verify it, write the record.

    By the runbook's own times it takes an hour and a half.
    """
    from staging.rehearsal.rehearsal import StagedRehearsal

    stack = Stack(ROOT, wanted=shape)
    with Progress() as progress, fresh_stacks([stack], progress):
        incident, verdict, fates = StagedRehearsal(stack, progress, pace).run(scale)
    typer.echo(str(fates))
    typer.echo(f"verdict: {verdict}")
    typer.echo(f"incident: {incident.folder.relative_to(ROOT)}")
    if verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if verdict is Verdict.FAILED else ExitCode.BROKEN)


@app.command()
def up(scale: Scale = 1.0, shape: AsShape = Shape.USUAL) -> None:
    """Bring a staging stack up, seeded, and leave it running."""
    from rollproof.profile.profile import load_target
    from staging.engine import docker_engine, undisturbed
    from staging.rehearsal.rehearsal import write_off_rollbacks
    from staging.releases.deployment import bring_up_application

    stack = Stack(ROOT, wanted=shape)
    with Progress() as progress, docker_engine(progress.say, keep=True):
        take_down_abandoned(every_slot(ROOT), progress)
        refuse_if_used(stack, progress)
        try:
            bring_up_stores(stack, progress)
            bring_up_application(stack, progress, scale)
        except BaseException:
            with undisturbed():
                stack.down(progress.say)
            raise
        write_off_rollbacks(load_target(stack.profile), progress.say)
    typer.echo(
        f"up: {stack.services.way}; profile {stack.profile.relative_to(ROOT)}; ./run down takes it down"
    )


@app.command()
def down() -> None:
    """Take the staging stack down, and the engine if `up` started it."""
    from staging.engine import docker_engine

    stack = Stack(ROOT)
    with Progress() as progress, docker_engine(progress.say):
        take_down_abandoned(every_slot(ROOT), progress)
        with progress.step("take the stack down"):
            stack.down(progress.say)


@app.command()
def image() -> None:
    """Build the image of the suite from its wheel."""
    from staging.engine import docker_engine
    from staging.stack.images import build_suite_image

    with Progress() as progress, docker_engine(progress.say, keep=True), progress.step("build the image"):
        built = build_suite_image(ROOT, progress.say)
    typer.echo(f"image: {built}; docker run --rm {built} --help")


@app.command()
def deploy(
    commit: Annotated[str, typer.Argument(help="Hash of a commit of the application.")],
    slot: Annotated[int, typer.Option(min=1, max=SLOTS, help="The slot of the stack.")] = 1,
) -> None:
    """Build, migrate to and start a commit of the application, on a stack that is up."""
    from staging.releases.deployment import Deployment

    stack = Stack(ROOT, Slot(slot))
    full = resolve_commit(stack.state.application, commit)
    deployment = Deployment(stack)
    with Progress() as progress:
        with progress.step(f"build {full[:12]}"):
            deployment.build(full)
        with progress.step(f"migrate to {full[:12]}") as step:
            step.result = deployment.migrate()
        with progress.step(f"start {full[:12]}"):
            deployment.start()


@app.command()
def faults(
    names: Names = None,
    clean_runs: Annotated[int, typer.Option(min=0, help="Runs without a fault that come first.")] = 10,
    scale: Scale = SMALL_SCALE,
) -> None:
    """Inject each data fault into a staging stack; see that its check catches it."""
    from tests.stack.fault_round import FAULTS, run_faults

    wanted = chosen(FAULTS, names or [])
    with _round("faults", scale) as (stack, folder, progress, found):
        run_faults(stack, folder, wanted, clean_runs, progress, found)


@app.command()
def killtest(names: Names = None, scale: Scale = SMALL_SCALE) -> None:
    """Kill every rollback at every step of its journal, resume it, and compare the end."""
    from staging.kills.kill import Killer
    from staging.kills.walk import prepare, walk

    with _round("kills", scale) as (stack, folder, progress, found):
        killer = Killer(stack, folder)
        with progress.step("back up, capture a baseline"):
            prepare(killer)
        walk(killer, names or [], list, progress, found)


@app.command()
def drills(
    names: Names = None,
    scale: Scale = SMALL_SCALE,
) -> None:
    """Make trouble in a staging stack under load; see that the monitor's samples tell which, and when."""
    from staging.drills.drill import DRILLS
    from staging.drills.watch import run_drills

    wanted = chosen(DRILLS, names or [])
    with _round("drills", scale) as (stack, folder, progress, found):
        run_drills(stack, folder, wanted, progress, found)


@contextmanager
def _round(title: str, scale: float) -> Iterator[tuple[Stack, Path, Progress, Round]]:
    """Provide a stack of release 1 for a round's trials; show the results, and end with their exit code."""
    from staging.releases.deployment import bring_up_application

    stack, found = Stack(ROOT), Round(title, ROOT / "incidents" / f"{title}.json")
    with Progress() as progress, fresh_stacks([stack], progress), folder_for(ROOT) as folder:
        bring_up_application(stack, progress, scale)
        yield stack, folder, progress, found
    found.show(Console(highlight=False))
    typer.echo(f"record: {found.record.relative_to(ROOT)}")
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED)
