"""The command `rollproof monitor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import Profile
from rollproof.errors import ActionFailed, UsageProblem, reason_of
from rollproof.incident.incident import find_or_create_incident
from rollproof.monitoring.samples import Sample, SampleWriter, samples_path
from rollproof.system.process import stopping

if TYPE_CHECKING:
    from rollproof.profile.profile import Target

EXAMPLES = {
    "monitor": ("monitor --target prod.toml", "monitor --target prod.toml --beats 12 --json"),
}

Show = Callable[[Sample], None]
# Not the file of all samples around the incident, which others write whole: this one is appended to.
_WATCHED = "watched.jsonl"
_PRIORITY = -10  # if this user may set it


def monitor(
    profile: Profile,
    beats: Annotated[
        int | None,
        typer.Option(
            min=1, help="End after this many beats (default: run until Ctrl-C).", show_default=False
        ),
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option(
            "--incident",
            help="Incident that also gets the samples; an unknown id begins one.",
            show_default=False,
        ),
    ] = None,
    prometheus_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=1, max=65535, help="Port for a Prometheus to scrape.", show_default=False
        ),
    ] = None,
    prometheus_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of this machine to listen on (default: 127.0.0.1).",
            show_default=False,
        ),
    ] = None,
    *,
    as_lines: Annotated[bool, typer.Option("--json", help="Print samples as JSON lines.")] = False,
) -> None:
    """Watch the target on an exact beat until Ctrl-C; changes nothing."""
    from reports.answers.monitor_view import View
    from rollproof.monitoring.monitor import Beats
    from rollproof.monitoring.probes.probe import COLLECTED
    from rollproof.monitoring.probes.probes import probes_of
    from rollproof.planning.advice import Advice
    from rollproof.profile.profile import load_target
    from rollproof.system.file_lock import file_lock

    target = load_target(profile)
    if prometheus_address is not None and prometheus_port is None:
        raise UsageProblem(
            what="--prometheus-address",
            expected="--prometheus-port beside it",
            observed="none",
            source="the command line",
            hint="add --prometheus-port 9464",
        )
    path = samples_path(target)
    seconds = target.premigration.monitoring.beat_seconds
    done = missed = 0
    check = target.redactor().text(Advice(target, profile).reach())
    # A target in trouble makes its machine busy, and then its samples matter most. They cost little.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    with (
        file_lock(path.with_suffix(".lock"), f"monitor {target.name}"),
        stopping() as stopped,
        _written(path, target, incident) as write,
        _scraped(target, prometheus_address or "127.0.0.1", prometheus_port) as tell,
        View(sys.stdout, as_json=as_lines, check=check) as view,
        closing(
            Beats(
                target.name,
                probes_of(target, seconds * COLLECTED),
                seconds,
                stopped,
                target.redactor().text,
            )
        ) as watched,
    ):
        for sample in watched:
            write(sample)
            tell(sample)
            view.show(sample)
            done, missed = done + 1, missed + sample.missed
            if done == beats:
                break
    typer.echo(f"monitor of {target.name}: {done} beats, {missed} missed; samples: {path}", err=as_lines)


@contextmanager
def _scraped(target: Target, address: str, port: int | None) -> Iterator[Show]:
    """Yield a function that shows a sample to scrapers; without a port it does nothing."""
    if port is None:
        yield lambda _: None
        return
    # Only a scraped monitor needs the library.
    from rollproof.monitoring.monitor_metrics import MonitorMetrics, scraped

    metrics = MonitorMetrics(target)
    with scraped(metrics, address, port):
        yield metrics.show


@contextmanager
def _written(path: Path, target: Target, incident: str | None) -> Iterator[Show]:
    """Yield a function that writes a sample to the target's file, and to the incident's if one is named."""
    paths = [path]
    if incident is not None:
        paths.append(
            find_or_create_incident(target.folders.incidents, target.name, incident).folder / _WATCHED
        )
    with ExitStack() as opened:
        try:
            writers = [opened.enter_context(closing(SampleWriter(one))) for one in paths]
        except OSError as error:
            raise _unwritten(path, error) from None

        def write(sample: Sample) -> None:
            try:
                for writer in writers:
                    writer.write(sample)
            except OSError as error:
                raise _unwritten(path, error) from None

        yield write


def _unwritten(path: Path, error: OSError) -> ActionFailed:
    return ActionFailed(
        what="samples of the monitor",
        expected="a file that can be added to",
        observed=reason_of(error),
        source=str(path),
        hint="make room there, or correct the permissions; then start the monitor again",
    )
