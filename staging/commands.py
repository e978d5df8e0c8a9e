"""The commands of `python -m staging`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from rollproof.git.repository import resolve_commit
from rollproof.verdict import Verdict
from staging.stack.fresh_stacks import bring_up_stores, clear_abandoned, fresh_stores, take_down_abandoned
from staging.stack.shape import Shape
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
SMALL_SCALE = 0.05

Scale = Annotated[
    float,
    typer.Option(envvar="ROLLPROOF_SCALE", min=0.01, max=20, help="Amount of data; 1 is 20,000 chunks."),
]
AsShape = Annotated[Shape, typer.Option("--shape", help="How the stack is deployed.")]


def rehearsal(scale: Scale = 1.0, shape: AsShape = Shape.USUAL) -> None:
    """Break a staging stack by a migration, roll it back, verify it, write the record."""
    from staging.rehearsal.rehearsal import Rehearsal

    stack = Stack(ROOT, wanted=shape)
    with Progress() as progress, fresh_stores(stack, progress):
        incident, verdict = Rehearsal(stack, progress).run(scale)
    typer.echo(f"verdict: {verdict}")
    typer.echo(f"incident: {incident.folder.relative_to(ROOT)}")
    if verdict is not Verdict.PASSED:
        raise typer.Exit(ExitCode.FAILED if verdict is Verdict.FAILED else ExitCode.BROKEN)


def up(scale: Scale = 1.0, shape: AsShape = Shape.USUAL) -> None:
    """Bring a staging stack up, seeded, and leave it running."""
    from rollproof.profile.profile import load_target
    from staging.machine.docker_engine import docker_engine, undisturbed
    from staging.rehearsal.rehearsal import write_off_rollbacks
    from staging.releases.deployment import bring_up_application

    stack = Stack(ROOT, wanted=shape)
    with Progress() as progress, docker_engine(progress.say, keep=True) as started:
        clear_abandoned(stack, progress, unused=started)
        try:
            bring_up_stores(stack, progress)
            bring_up_application(stack, progress, scale)
        except BaseException:
            with undisturbed():
                stack.down(progress.say)
            raise
        write_off_rollbacks(load_target(stack.profile), progress.say)
    typer.echo(
        f"up: http://127.0.0.1:{stack.slot.url_port}; profile {stack.profile.relative_to(ROOT)};"
        " ./run down takes it down"
    )


def down() -> None:
    """Take the staging stack down, and the engine if `up` started it."""
    from staging.machine.docker_engine import docker_engine, stop_kept_engine

    stack = Stack(ROOT)
    with Progress() as progress:
        with docker_engine(progress.say):
            take_down_abandoned(ROOT, progress)
            with progress.step("take the stack down"):
                stack.down(progress.say)
        stop_kept_engine(progress.say)


def image() -> None:
    """Build the image of the suite from its wheel."""
    from staging.machine.docker_engine import docker_engine
    from staging.stack.suite_image import build_suite_image

    with Progress() as progress, docker_engine(progress.say, keep=True), progress.step("build the image"):
        built = build_suite_image(ROOT, progress.say)
    typer.echo(f"image: {built}; docker run --rm {built} --help")


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
    from staging.faults.fault_catalogue import chosen
    from staging.faults.fault_round import RECORD, folder_for, run_round, show
    from staging.faults.fault_trial import Trials
    from staging.releases.deployment import bring_up_application

    wanted, stack = chosen(names or []), Stack(ROOT)
    record = ROOT / "incidents" / RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=keep) as folder:
        bring_up_application(stack, progress, scale)
        found = run_round(
            Trials(stack, folder),
            wanted,
            clean_runs=clean_runs,
            scale=scale,
            progress=progress,
            record=record,
        )
    show(found, Console(highlight=False))
    _end(record, passed=found.passed)


def killtest(
    names: Annotated[
        list[str] | None, typer.Argument(help="Actions, or patterns of them; all if none.")
    ] = None,
    scale: Scale = SMALL_SCALE,
) -> None:
    """Kill every rollback at every step of its journal, resume it, and compare the end."""
    from staging.faults.fault_round import folder_for
    from staging.kills import kill_walk
    from staging.kills.kill import Killer
    from staging.releases.deployment import bring_up_application

    stack = Stack(ROOT)
    record = ROOT / "incidents" / kill_walk.RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=False) as folder:
        bring_up_application(stack, progress, scale)
        killer = Killer(stack, folder)
        with progress.step("back up, capture a baseline"):
            kill_walk.prepare(killer)
        found = kill_walk.walk(killer, names or [], list, progress, record)
    kill_walk.show(found, Console(highlight=False))
    _end(record, passed=found.passed)


def drills(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or patterns of drills; all if none.")
    ] = None,
    soak: Annotated[float, typer.Option(min=0, help="Seconds without trouble at the end.")] = 0.0,
    scale: Scale = SMALL_SCALE,
) -> None:
    """Make trouble in a staging stack under load; see that the monitor's samples tell which, and when."""
    from staging.drills import drill_round
    from staging.drills.drill import chosen_drills
    from staging.faults.fault_round import folder_for
    from staging.releases.deployment import bring_up_application

    wanted, stack = chosen_drills(names or []), Stack(ROOT)
    record = ROOT / "incidents" / drill_round.RECORD
    with Progress() as progress, fresh_stores(stack, progress), folder_for(ROOT, keep=False) as folder:
        bring_up_application(stack, progress, scale)
        found = drill_round.run_drills(stack, folder, wanted, soak, progress, record)
    drill_round.show(found, Console(highlight=False))
    _end(record, passed=found.passed)


def _end(record: Path, *, passed: bool) -> None:
    """Name the record of a round, and end with its exit code."""
    typer.echo(f"record: {record.relative_to(ROOT)}")
    if not passed:
        raise typer.Exit(ExitCode.FAILED)
