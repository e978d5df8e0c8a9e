"""The command `rollproof assess`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, Profile
from rollproof.errors import UsageProblem, shown
from rollproof.system.clock import Moment

EXAMPLES = {
    "assess_command": ("assess --target prod.toml", "assess --target prod.toml --samples samples.jsonl"),
}


def assess_command(
    profile: Profile,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="File of samples to assess, as of its last one (default: the current samples).",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --samples: time of the assessment, ISO 8601 with its zone."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Assess severity within 30 s, from the monitor's samples or its own; changes nothing."""
    from reports.answers.decision import AssessmentRecord, assessment_record_lines
    from reports.terminal.document import answer
    from rollback_actions.respond.response import CODES_OF_SEVERITY
    from rollproof.monitoring.assessment import assess_again, assess_target, decision_by
    from rollproof.planning.advice import Advice
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    redact = target.redactor().text
    say = partial(typer.echo, err=as_json)
    moment = _moment(at, samples)
    assessed = assess_again(target, samples, moment) if samples else assess_target(target, say)
    assessment = assessed.assessment
    decision = decision_by(target, assessed)
    check = Advice(target, profile).reach() if assessment.cut_off else None
    record = AssessmentRecord(assessment, assessed.monitored, decision, check)
    code = CODES_OF_SEVERITY[assessment.severity]
    answer(record, assessment_record_lines, redact, code, as_json=as_json)


def _moment(at: str | None, samples: Path | None) -> Moment | None:
    """Return the named moment, as the wall clock has it, or None."""
    if at is None:
        return None
    try:
        moment = Moment.from_record({"wall": at, "since_boot": 0, "boot": ""})
    except ValueError:
        expected, observed = "a time of ISO 8601 with its zone", shown(at)
    else:
        if samples is not None:
            return moment
        expected, observed = "--samples beside it", "no --samples"
    raise UsageProblem(
        what="--at",
        expected=expected,
        observed=observed,
        source="the command line",
        hint="add, for example: --samples incidents/ID/samples.jsonl --at 2026-01-31T12:00:00+00:00",
    )
