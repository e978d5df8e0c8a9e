"""`./run bench`: the claims about speed, measured side by side in one run. Ratios count, not seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import mongodb, mysql, postgresql, vectors
from benchmarks import scale as workers
from benchmarks.growth import TIMES, USUAL, measure_growth
from benchmarks.measure import Growth, Measure, Row, compared
from benchmarks.overhead import CHECKS, measure_overhead
from benchmarks.phases import ORDER, RECORD, measure_phases
from benchmarks.rollback import measure_rollback
from benchmarks.servers import mysql_server
from reports.terminal.guard import guarded
from reports.terminal.progress import Progress
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import open_engine
from rollproof.errors import UsageProblem
from rollproof.profile.profile import Target, load_target
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.qdrant.descriptor import QdrantProfile
from staging.engine import docker_engine
from staging.kills.wreckage import wreck_stores
from staging.releases.deployment import bring_up_application
from staging.releases.release_repository import create_repository
from staging.stack.fresh_stacks import fresh_stacks
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.stack.postgresql_server import postgresql_server

ROOT = Path(__file__).resolve().parent.parent
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
console = Console()


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which to run; all without a name.")] = None,
    scale: Annotated[
        float, typer.Option(min=0.001, help="Size of the stores' data; 1 is the claim's.")
    ] = 1.0,
) -> None:
    """Measure side by side overhead, phases, record, rollback, mysql, postgresql, mongodb and vectors.

    Two are measured by their name alone: growth, on 1, 10 and 100 times the usual data of a staging stack;
    and scale, comparison by Dask's workers, whose claim of 20,000,000 rows is `--scale 40`.
    """
    wanted = names or ["overhead", "postgresql", *_ON_STACK]
    unknown = sorted({*wanted} - {"overhead", "postgresql", *_BY_NAME, *_ON_STACK})
    if unknown:
        raise UsageProblem(
            what="benchmark",
            expected=f"one of overhead, postgresql, {', '.join([*_BY_NAME, *_ON_STACK])}",
            observed=", ".join(unknown),
            source="the arguments",
            hint="./run bench without a name runs all",
        )
    if "overhead" in wanted:
        measures = measure_overhead()
        _show(f"{CHECKS:,} trivial checks", compared(measures, measures[-1]))
    stack = Stack(ROOT)
    if "growth" in wanted:
        _growth(stack, scale)
    if "postgresql" in wanted:
        _postgresql(stack, scale)
    if "scale" in wanted:
        _workers(stack, scale)
    for run in (run for name, run in _ON_STACK.items() if name in wanted):
        # Fresh stores for each run: a seed needs empty ones, and leftovers of one run slow the next.
        with Progress() as progress, fresh_stacks([stack], progress):
            run(stack, progress, scale)


def _phases(stack: Stack, progress: Progress, _scale: float) -> None:
    bring_up_application(stack, progress, 1.0)
    with progress.step("run the four phases both ways"):
        gated, plain = measure_phases(stack.profile, ORDER)
    _show("The four phases of the staging stack", compared([gated, plain], plain))


def _record(stack: Stack, progress: Progress, _scale: float) -> None:
    bring_up_application(stack, progress, 1.0)
    with progress.step("run the four phases both ways"):
        with_record, without = measure_phases(stack.profile, RECORD)
    _show("The four phases, with what the record costs", compared([with_record, without], without))


def _rollback(stack: Stack, progress: Progress, _scale: float) -> None:
    bring_up_application(stack, progress, 1.0)
    target = load_target(stack.profile)
    with ExitStack() as opened, progress.step("roll back all ways"):
        operators = Operators(target, open_engine(target.engine), opened)
        ours, bare, copying = measure_rollback(stack, target, lambda: wreck_stores(operators))
    _show("Emergency rollback of the staging stack", compared([ours, bare, copying], bare))


def _growth(stack: Stack, scale: float) -> None:
    table = Table("data", "part", "seconds", "peak memory, MiB", title="The staging stack as its data grows")
    for times in TIMES:
        with Progress() as progress, fresh_stacks([stack], progress):
            bring_up_application(stack, progress, USUAL * times * scale)
            target = load_target(stack.profile)
            with ExitStack() as opened, progress.step(f"measure {times} times the usual data"):
                operators = Operators(target, open_engine(target.engine), opened)
                parts = measure_growth(stack.profile, partial(wreck_stores, operators))
        for part in parts:
            table.add_row(f"{times}x", part.name, f"{part.seconds:.1f}", f"{part.mebibytes:.0f}")
        console.print(table)


def _stores_alone(stack: Stack) -> Target:
    """Return the target of a stack without its application: the profile wants the repository to exist."""
    create_repository(stack.state.application)
    return load_target(stack.profile)


def _mysql(stack: Stack, progress: Progress, scale: float) -> None:
    target = _stores_alone(stack)
    engine, control = open_engine(target.engine), ComposeControl(target.engine)
    size = int(2_000_000 * scale)
    with (
        tempfile.TemporaryDirectory() as folder,
        mysql_server(target, engine, control, Path(folder)) as server,
    ):
        with progress.step(f"MySQL, {size:,} rows"):
            times = mysql.compare(server, size)
        _show(f"MySQL, {size:,} rows of about 230 bytes", times)
        with progress.step("MySQL as tables grow"):
            grown = mysql.grow(server, [size // 10, size, size * 10])
        _show_growth("MySQL, digest with its division", grown)
        with progress.step("MySQL, planted corruptions"):
            noticed = mysql.detect(server)
        _show_noticed(noticed)


def _postgresql(stack: Stack, scale: float) -> None:
    size = int(2_000_000 * scale)
    with (
        Progress() as progress,
        docker_engine(progress.say),
        tempfile.TemporaryDirectory() as folder,
    ):
        stack.prepare()
        with postgresql_server(stack, Path(folder)) as server:
            with progress.step(f"PostgreSQL, {size:,} rows"):
                times = postgresql.compare(server, Path(folder), size)
            _show(f"PostgreSQL, {size:,} rows of about 230 bytes", times)
            with progress.step("PostgreSQL as tables grow"):
                grown = postgresql.grow(server, [size // 10, size, size * 10])
            _show_growth("PostgreSQL, digest with its division", grown)


def _workers(stack: Stack, scale: float) -> None:
    # With less, a collection would have one part alone, which no worker is asked for.
    times = max(scale, 1.0)
    size, vectors = int(workers.ROWS * times), int(workers.VECTORS * times)
    with Progress() as progress, docker_engine(progress.say):
        stack.prepare()
        found = {f"MySQL, {size:,} rows": workers.compare_mysql(stack, size, progress.say)}
        of_postgresql = workers.compare_postgresql(stack, size, vectors, progress.say)
    found[f"PostgreSQL, {size:,} rows"], found[f"pgvector, {vectors:,} vectors"] = of_postgresql
    for title, ways in found.items():
        table = Table(
            "way", "seconds", "ratio", "tasks", "workers idle", "coordination, of one core", title=title
        )
        for way in ways:
            ratio = f"{way.seconds / ways[0].seconds:.2f}"
            shares = f"{way.idle:.1%}", f"{way.coordinating:.1%}"
            table.add_row(way.name, f"{way.seconds:.1f}", ratio, str(way.tasks), *shares)
        console.print(table)


def _mongodb(stack: Stack, progress: Progress, scale: float) -> None:
    target = _stores_alone(stack)
    profile = target.stores["mongodb"]
    assert isinstance(profile, MongodbProfile)
    endpoint = open_engine(target.engine).resolve(profile.address)
    with progress.step("MongoDB") as step:
        step.result = "digest next to dbHash"
        mongodb.compare(endpoint, profile.operator, int(500_000 * scale), connections=2)


def _vectors(stack: Stack, progress: Progress, scale: float) -> None:
    target = _stores_alone(stack)
    engine, count = open_engine(target.engine), int(100_000 * scale)
    milvus, qdrant = target.stores["milvus"], target.stores["qdrant"]
    assert isinstance(milvus, MilvusProfile)
    assert isinstance(qdrant, QdrantProfile)
    assert milvus.operator is not None
    assert qdrant.operator is not None
    with progress.step("Milvus"):
        found = vectors.compare_milvus(engine.resolve(milvus.address), milvus.operator, count)
    _show(f"Milvus, {count:,} vectors of 384", compared(found, found[0]))
    with progress.step("Qdrant, a stand-in"):
        found = vectors.compare_qdrant(engine.resolve(qdrant.address), qdrant.operator, count)
    _show(f"Qdrant (stand-in), {count:,} vectors of 384", compared(found, found[0]))


_BY_NAME = ("growth", "scale")
_ON_STACK: dict[str, Callable[[Stack, Progress, float], None]] = {
    "mysql": _mysql,
    "mongodb": _mongodb,
    "vectors": _vectors,
    "phases": _phases,
    "record": _record,
    "rollback": _rollback,
}


def _show(title: str, rows: Sequence[Row | Measure]) -> None:
    """Print each row's median and its ratio to the reference."""
    table = Table("what", "median, s", "ratio", title=title)
    for row in rows:
        if isinstance(row, Measure):
            table.add_row(row.name, f"{row.median:.2f}", "")
        elif row.seconds is None or row.ratio is None:
            table.add_row(row.name, "not run", row.skipped)
        else:
            table.add_row(row.name, f"{row.seconds:.2f}", f"{row.ratio:.2f}")
    console.print(table)


def _show_growth(title: str, grown: Sequence[Growth]) -> None:
    table = Table("rows", "median, s", "peak memory, MiB", title=title)
    for growth in grown:
        table.add_row(f"{growth.rows:,}", f"{growth.seconds:.2f}", f"{growth.peak_mebibytes:.0f}")
    console.print(table)


def _show_noticed(noticed: Sequence[mysql.Noticed]) -> None:
    readers = list(noticed[0].by)
    table = Table("planted corruption", *readers, title="Which reader notices what")
    words = {True: "noticed", False: "-", None: "not run"}
    for one in noticed:
        table.add_row(one.corruption, *(words[one.by[reader]] for reader in readers))
    table.add_row("of all", *(str(sum(one.by[reader] is True for one in noticed)) for reader in readers))
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(guarded(app))
