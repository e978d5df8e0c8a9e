"""The command `python -m rollback_actions monitor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from fixtures.errors import ActionFailed
from fixtures.incident import find_incident
from fixtures.samples import Sample, SampleWriter, samples_path
from fixtures.target import Target, load_target
from rollback_actions.file_lock import file_lock
from rollback_actions.monitor import COLLECTED, Beats, Summary, clock
from rollback_actions.monitor_view import View
from rollback_actions.probes import probes_of
from rollback_actions.session import Profile
from rollback_actions.stopping import stopping

monitor_app = typer.Typer()
_SAMPLES = "samples.jsonl"
_PRIORITY = -10  # where this user may have it


@monitor_app.command()
def monitor(
    profile: Profile,
    beats: Annotated[
        int | None, typer.Option(min=1, help="End after so many (default: go on).", show_default=False)
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option("--incident", help="Incident to keep the samples in as well.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print samples as JSON lines.")] = False,
) -> None:
    """Watch the target on an exact beat until Ctrl-C; changes nothing."""
    target = load_target(profile)
    path = samples_path(target)
    seconds = target.premigration.monitoring.beat_seconds
    summary = Summary()
    # A target in trouble makes its machine busy, and then its samples matter most. They cost little.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    with (
        file_lock(path.with_suffix(".lock"), f"monitor {target.name}"),
        stopping() as stopped,
        _written(path, target, incident) as write,
        View(sys.stdout, as_json=as_json) as view,
        closing(
            Beats(
                target.name,
                probes_of(target, seconds * COLLECTED, clock),
                seconds,
                stopped,
                target.redactor().text,
            )
        ) as watched,
    ):
        for sample in watched:
            write(sample)
            view.show(sample)
            summary.add(sample)
            if summary.beats == beats:
                break
    typer.echo(f"monitor of {target.name}: {summary}; samples: {path}", err=as_json)


@contextmanager
def _written(path: Path, target: Target, incident: str | None) -> Iterator[Callable[[Sample], None]]:
    """Give what writes a sample to the target's file, and to that of the incident where one is named."""
    paths = [path]
    if incident is not None:
        paths.append(find_incident(target.folders.incidents, target.name, incident).folder / _SAMPLES)
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
        observed=error.strerror or str(error),
        source=str(path),
        hint="make room there, or correct the permissions; then start the monitor again",
    )
