"""The commands `rollproof plan` and `… card`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, Profile
from rollproof.errors import UsageProblem
from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Scope, decide

EXAMPLES = {
    "plan_command": (
        "plan --target prod.toml",
        "plan --target prod.toml --severity critical --service backend",
        "plan --target prod.toml --store mysql --corrupt",
    ),
    "card_command": ("card --target prod.toml",),
}


def plan_command(
    profile: Profile,
    services: Annotated[
        list[str] | None, typer.Option("--service", metavar="SERVICE", help="A service in trouble.")
    ] = None,
    stores: Annotated[
        list[str] | None, typer.Option("--store", metavar="STORE", help="A store in trouble.")
    ] = None,
    severity: Annotated[
        Severity | None,
        typer.Option(help="Severity of the incident (default: critical, if a trouble is named)."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(help="Hash of the commit to go back to (default: the known-good commit).")
    ] = None,
    *,
    corrupt: Annotated[bool, typer.Option("--corrupt", help="Data is corrupt.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="The whole system is in trouble.")] = False,
    still_bad: Annotated[
        bool | None,
        typer.Option(
            "--still-bad/--over",
            help="After the investigation of a non-critical incident: it is still bad, and"
            " is rolled back; or it is over, and is only monitored.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide what to do by the runbook's tree and print the exact steps; changes nothing.

    Without a severity and a trouble, those of `assess` are decided on: from the monitor's samples or its own.
    """
    from reports.answers.decision import decision_lines, decision_record
    from reports.terminal.document import answer
    from rollproof.monitoring.assessment import assess_target, decision_by
    from rollproof.planning.plan import require_services, require_stores
    from rollproof.planning.refusals import advice_of
    from rollproof.profile.profile import load_target

    if still_bad is not None and severity is not Severity.NON_CRITICAL:
        raise UsageProblem(
            what="--still-bad" if still_bad else "--over",
            expected="--severity non-critical: only such an incident is investigated before it is decided on",
            observed=f"severity {severity or Severity.CRITICAL}",
            source="the command line",
            hint="add --severity non-critical, or leave it out",
        )
    target = load_target(profile)
    scope = Scope(tuple(services or ()), tuple(stores or ()), corrupt, whole)
    require_services(target, scope.services)
    require_stores(target, scope.stores)
    if severity is None and scope == Scope():
        assessed = assess_target(target, partial(typer.echo, err=as_json))
        typer.echo(f"severity: {assessed.assessment.said}", err=as_json)
        decision = decision_by(target, assessed)
    else:
        seconds = target.responding.investigation_seconds
        decision = decide(severity or Severity.CRITICAL, scope, seconds, still_bad=still_bad)
    found = decision_record(advice_of(target, profile), decision, commit)
    answer(found, decision_lines, target.redactor().text, as_json=as_json)


def card_command(profile: Profile, *, as_json: AsJson = False) -> None:
    """Print the runbook's command card, filled in for this target and this moment; changes nothing."""
    from reports.answers.card import Card, card, card_lines
    from reports.terminal.document import answer
    from rollproof.engines.factory import open_engine
    from rollproof.planning.lock_state import lock_state
    from rollproof.planning.refusals import advice_of
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    entries = tuple(card(advice_of(target, profile), open_engine(target.engine), lock_state(target)))
    answer(Card(target.name, entries), card_lines, target.redactor().text, as_json=as_json)
