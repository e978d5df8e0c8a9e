"""The commands that decide whether a migration may be promoted, and that rehearse it."""

from __future__ import annotations

from typing import Annotated

import typer

from fixtures.errors import ExitCode, UsageProblem
from fixtures.git import resolve_commit
from fixtures.incident import find_change
from fixtures.tally import tally
from fixtures.target import load_target
from fixtures.verdict import Verdict
from rollback_actions.check_run import CheckRun
from rollback_actions.lock import open_lock
from rollback_actions.rehearsal import Rehearsal, require_rehearsable
from rollback_actions.session import Profile, TakeOver, open_session

gate_app = typer.Typer()
Migration = Annotated[str, typer.Argument(help="Hash of the commit that is to be promoted.")]
_PAGE = "gate.md"


@gate_app.command()
def gate(
    migration: Migration,
    profile: Profile,
    workers: Annotated[int, typer.Option("--workers", "-n", min=1, max=16)] = 2,
) -> None:
    """Decide whether MIGRATION may be promoted: exit 0 promotes. Prints one page of Markdown."""
    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    change = find_change(target.folders.incidents, target.name, commit)
    page = change.folder / _PAGE
    # That of an earlier run must not be taken for what this one says.
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
    if code is ExitCode.VERIFIED and tally(change, target.windows).verdict is not Verdict.PASSED:
        code = ExitCode.BROKEN
    if code is not ExitCode.VERIFIED:
        raise typer.Exit(code)


@gate_app.command()
def rehearse(migration: Migration, profile: Profile, *, take_over: TakeOver = False) -> None:
    """Rehearse MIGRATION on a staging target: gate, deployment, checks, rollback, verification, record."""
    target = load_target(profile)
    commit = require_rehearsable(target, migration)
    lock = open_lock(target, f"rehearse {commit}", take_over=take_over)
    with open_session(target, lock, lambda: None) as session:
        outcome = Rehearsal(target, profile, commit, session.incident, session.steps).run()
    typer.echo(f"after the migration: {outcome.migrated}")
    typer.echo(f"rollback: {outcome.rolled_back}")
    verdicts = {outcome.migrated, outcome.rolled_back}
    if verdicts != {Verdict.PASSED}:
        raise typer.Exit(ExitCode.FAILED if Verdict.FAILED in verdicts else ExitCode.BROKEN)
