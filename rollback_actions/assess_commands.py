"""The command `python -m rollback_actions assess`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fixtures.errors import ExitCode
from fixtures.severity import Severity
from fixtures.target import load_target
from rollback_actions.assessment import assess_again, assess_target, assessment_lines, scope_of
from rollback_actions.decide import decide
from rollback_actions.session import Profile

assess_app = typer.Typer()
CODES = {
    Severity.HEALTHY: ExitCode.VERIFIED,
    Severity.CRITICAL: ExitCode.FAILED,
    Severity.UNKNOWN: ExitCode.BROKEN,
    Severity.NON_CRITICAL: ExitCode.INVESTIGATE,
}


@assess_app.command("assess")
def assess_command(
    profile: Profile,
    samples: Annotated[
        Path | None,
        typer.Option(help="Samples to judge by, as of the last (default: those of now).", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say how bad it is within 30 s, by the monitor's samples or by own ones; changes nothing."""
    target = load_target(profile)
    redact = target.redactor().text
    say = partial(typer.echo, err=as_json)
    assessed = assess_again(target, samples) if samples else assess_target(target, say)
    assessment = assessed.assessment
    decision = decide(assessment.severity, scope_of(target, assessed))
    if as_json:
        record = {
            **assessment.record(),
            "monitored": assessed.monitored,
            "decision": {"action": decision.action, "names": decision.names, "reason": decision.reason},
        }
        typer.echo(redact(json.dumps(record, sort_keys=True, ensure_ascii=False)))
    else:
        for line in assessment_lines(assessed):
            typer.echo(redact(line))
        names = f" of {', '.join(decision.names)}" if decision.names else ""
        typer.echo(f"decision: {decision.action}{names}: {decision.reason}")
    if assessment.severity is not Severity.HEALTHY:
        raise typer.Exit(CODES[assessment.severity])
