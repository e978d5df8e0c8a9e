"""The commands while something is wrong: `monitor`, `assess`, `plan` and `respond`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import (
    Again,
    AsJson,
    Confirm,
    IncidentId,
    OverBudget,
    Profile,
    TakeOver,
    examples,
)
from rollproof.incident.samples import Sample, SampleWriter, samples_path
from rollproof.incident.severity import Severity
from rollproof.planning.tree import Scope
from rollproof.system.process import stopping

if TYPE_CHECKING:
    from rollproof.profile.profile import Target

app = typer.Typer()
TakeSample = Callable[[Sample], None]
_NICENESS = -10  # if this user may set it


@app.command(
    epilog=examples("monitor --target prod.toml", "monitor --target prod.toml --beats 12 --json"),
)
def monitor(
    profile: Profile,
    beats: Annotated[
        int | None, typer.Option(min=1, help="End after this many beats (default: run until Ctrl-C).")
    ] = None,
    prometheus_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of 127.0.0.1 for a Prometheus to scrape."),
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
    from rollproof.system.holder import file_lock

    target = load_target(profile)
    path, redact = samples_path(target), target.redactor().text
    seconds = target.premigration.monitoring.beat_seconds
    view = View(sys.stdout, as_json=as_lines, check=redact(Advice(target, profile).reach()))
    done = missed = 0
    # When a target is in trouble its machine is busy, and samples matter most then.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    with (
        file_lock(path.with_suffix(".lock"), f"monitor {target.name}"),
        stopping() as stopped,
        closing(SampleWriter(path)) as writer,
        _scraped(target, prometheus_port) as scrape,
        closing(
            Beats(target.name, probes_of(target, seconds * COLLECTED), seconds, stopped, redact)
        ) as watched,
    ):
        for sample in watched:
            writer.write(sample)
            scrape(sample)
            view.show(sample)
            done, missed = done + 1, missed + sample.missed
            if done == beats:
                break
    typer.echo(f"monitor of {target.name}: {done} beats, {missed} missed; samples: {path}", err=as_lines)


@contextmanager
def _scraped(target: Target, port: int | None) -> Iterator[TakeSample]:
    """Yield a function that shows a sample to scrapers; without a port it does nothing."""
    if port is None:
        yield lambda _: None
        return
    # Only a scraped monitor needs the library.
    from rollproof.monitoring.monitor_metrics import MonitorMetrics, scraped

    metrics = MonitorMetrics(target)
    with scraped(metrics, port):
        yield metrics.show


@app.command(
    epilog=examples("assess --target prod.toml", "assess --target prod.toml --samples samples.jsonl"),
)
def assess(
    profile: Profile,
    samples: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of samples to assess, as of its last one (default: the current samples).",
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Assess severity within 30 s, by the monitor's samples or by some that it takes; changes nothing."""
    from reports.answers.decision import AssessmentRecord, assessment_record_lines
    from reports.terminal.document import answer
    from rollback_actions.respond.response import CODES_OF_SEVERITY
    from rollproof.monitoring.assessment import assess_again, assess_target, decision_by
    from rollproof.planning.advice import Advice
    from rollproof.profile.profile import load_target_for_checks

    target = load_target_for_checks(profile)
    say = partial(typer.echo, err=as_json)
    assessed = assess_again(target, samples) if samples else assess_target(target, say)
    assessment = assessed.assessment
    check = Advice(target, profile).reach() if assessment.cut_off else None
    record = AssessmentRecord(assessment, assessed.monitored, decision_by(target, assessed), check)
    code = CODES_OF_SEVERITY[assessment.severity]
    answer(record, assessment_record_lines, target.redactor().text, code, as_json=as_json)


@app.command(
    epilog=examples("plan --target prod.toml", "plan --target prod.toml --store mysql --corrupt"),
)
def plan(
    profile: Profile,
    services: Annotated[list[str] | None, typer.Option("--service", help="A service in trouble.")] = None,
    stores: Annotated[list[str] | None, typer.Option("--store", help="A store in trouble.")] = None,
    commit: Annotated[
        str | None, typer.Option(help="Hash of the commit to go back to (default: the known-good commit).")
    ] = None,
    *,
    corrupt: Annotated[bool, typer.Option("--corrupt", help="Data is corrupt.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="The whole system is in trouble.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide what to do by the runbook's tree and print the exact steps; changes nothing.

    A trouble that is named counts as critical. Without one, it decides on what `assess` finds.
    """
    from reports.answers.decision import decision_lines, decision_record
    from reports.terminal.document import answer
    from rollproof.monitoring.assessment import assess_target, decided, decision_by
    from rollproof.planning.plan import require_known
    from rollproof.planning.refusals import advice_of
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    scope = Scope(tuple(services or ()), tuple(stores or ()), corrupt, whole)
    for name in scope.services:
        require_known("service", name, target.application.services)
    for name in scope.stores:
        require_known("store", name, target.stores)
    if scope == Scope():
        assessed = assess_target(target, partial(typer.echo, err=as_json))
        typer.echo(f"severity: {assessed.assessment.said}", err=as_json)
        decision = decision_by(target, assessed)
    else:
        decision = decided(target, Severity.CRITICAL, scope)
    found = decision_record(advice_of(target, profile), decision, commit)
    answer(found, decision_lines, target.redactor().text, as_json=as_json)


@app.command(
    epilog=examples("respond --target prod.toml", "respond --target prod.toml --auto"),
)
def respond(
    profile: Profile,
    incident: IncidentId = None,
    confirm: Confirm = None,
    *,
    auto: Annotated[
        bool, typer.Option("--auto", help="Roll back without asking, if the profile allows it.")
    ] = False,
    take_over: TakeOver = False,
    over_budget: OverBudget = False,
    again: Again = False,
) -> None:
    """Assess, decide, ask, roll back, verify: the runbook's emergency flow. Run again to resume."""
    from rollback_actions.respond.response import run_response
    from rollproof.planning.refusals import Allowed

    run_response(profile, incident, Allowed(confirm, over_budget, again, take_over), auto=auto)
