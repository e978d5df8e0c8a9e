"""The command `rollproof respond`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollproof.cli.options import Again, Confirm, IncidentId, OverBudget, Profile, TakeOver

EXAMPLES = {
    "respond": ("respond --target prod.toml", "respond --target prod.toml --auto"),
}


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
    from rollback_actions.respond.respond_run import run_response
    from rollproof.planning.refusals import Allowed

    run_response(profile, incident, Allowed(confirm, over_budget, again, take_over), auto=auto)
