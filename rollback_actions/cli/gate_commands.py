"""The commands that decide whether a migration may be promoted, and that rehearse it."""

from __future__ import annotations

from typing import Annotated

import typer

from fixtures.errors import ExitCode, UsageProblem
from fixtures.incident.incident import find_change
from fixtures.incident.journal_steps import Step
from fixtures.verdict import Verdict
from rollback_actions.cli.options import Profile, TakeOver

Migration = Annotated[str, typer.Argument(metavar="COMMIT", help="Hash of the commit to promote.")]
_PAGE = "gate.md"


def gate(
    migration: Migration,
    profile: Profile,
    workers: Annotated[
        int, typer.Option("--workers", "-n", min=1, max=16, help="Processes that run the checks.")
    ] = 2,
) -> None:
    """Decide whether COMMIT may be promoted: exit 0 promotes. Prints one page of Markdown."""
    from fixtures.git.repository import resolve_commit
    from fixtures.incident.tally import tally
    from fixtures.sealing.chain import standing
    from fixtures.target.profile import load_target
    from rollback_actions.cli.doctor_commands import tell_before_gate
    from rollback_actions.gate.check_run import CheckRun

    target = load_target(profile)
    tell_before_gate(target)
    commit = resolve_commit(target.application.repository, migration)
    change = find_change(target.folders.incidents, target.name, commit)
    page = change.folder / _PAGE
    # An earlier run's page must not be taken for this run's result.
    page.unlink(missing_ok=True)
    code = CheckRun.of(target, profile, workers).run("premigration", f"--migration={commit}")
    if not page.exists():
        raise UsageProblem(
            what="gate",
            expected="checks that ran",
            observed=f"exit code {code:d}",
            source="pytest -m premigration",
            hint="its messages are above",
        )
    typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(f"record: {change.folder}")
    wrong = standing(change.folder, target.signing).evidence
    if code is ExitCode.VERIFIED and tally(change, target.windows, wrong).verdict is not Verdict.PASSED:
        code = ExitCode.BROKEN
    if code is not ExitCode.VERIFIED:
        raise typer.Exit(code)


def rehearse(migration: Migration, profile: Profile, *, take_over: TakeOver = False) -> None:
    """Rehearse COMMIT on a staging target: gate, deployment, checks, rollback, verification, record."""
    from fixtures.target.profile import load_target
    from rollback_actions.gate.rehearsal import Rehearsal, require_rehearsable
    from rollback_actions.session.lock import open_lock
    from rollback_actions.session.session import open_session

    target = load_target(profile)
    commit = require_rehearsable(target, migration)
    lock = open_lock(target, f"rehearse {commit}", take_over=take_over)
    with open_session(target, lock, Step.REHEARSE, lambda: None) as session:
        outcome = Rehearsal(target, profile, commit, session.incident, session.steps).run()
    typer.echo(f"after the migration: {outcome.migrated}")
    typer.echo(f"rollback: {outcome.rolled_back}")
    verdicts = {outcome.migrated, outcome.rolled_back}
    if verdicts != {Verdict.PASSED}:
        raise typer.Exit(ExitCode.FAILED if Verdict.FAILED in verdicts else ExitCode.BROKEN)
