"""The commands that decide whether a migration may be promoted, and that rehearse it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, Profile, TakeOver
from rollproof.errors import ExitCode, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import find_or_create_change
from rollproof.incident.journal_steps import Step
from rollproof.incident.ledger import Result, runs
from rollproof.reading import read_regular
from rollproof.record_names import GATE_PAGE
from rollproof.verdict import RunVerdict, Verdict

EXAMPLES = {
    "gate": ("gate HEAD --target prod.toml", "gate v1.5.0 --target prod.toml --junit gate.xml"),
    "rehearse": ("rehearse HEAD --target staging.toml",),
}

Migration = Annotated[str, typer.Argument(metavar="COMMIT", help="Hash of the commit to promote.")]


def gate(
    migration: Migration,
    profile: Profile,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write the items to, as JUnit XML."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Decide whether COMMIT may be promoted: exit 0 promotes. Prints one page of Markdown."""
    from reports.terminal.document import answer
    from rollback_actions.check_run import CheckRun
    from rollproof.git.repository import resolve_commit
    from rollproof.incident.tally import tally
    from rollproof.profile.profile import load_target
    from rollproof.sealing.seal import seal_state

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    change = find_or_create_change(target.folders.incidents, target.name, commit)
    page = change.folder / GATE_PAGE
    # What an earlier run wrote must not be taken for this run's result.
    for file in (page, junit):
        if file is not None:
            file.unlink(missing_ok=True)
    options = [f"--migration={commit}", *([f"--junitxml={junit.resolve()}"] if junit is not None else [])]
    code = CheckRun.of(target, profile).run("premigration", *options)
    if not page.exists():
        raise UsageProblem(
            what="gate",
            expected="checks that ran",
            observed=f"exit code {code:d}",
            source=typed("verify premigration"),
            hint="its messages are above",
        )
    run = runs(change.folder)[-1]
    wrong = seal_state(change.folder, target.signing).evidence
    verdict = tally(change, target.windows, wrong)
    if code is ExitCode.VERIFIED and verdict.verdict is not Verdict.PASSED:
        code = ExitCode.BROKEN
    items = tuple(run.results().values())
    record = GateRecord(commit, change.id, str(change.folder), str(page), verdict, items)
    answer(record, _gate_lines, target.redactor().text, code, as_json=as_json)


@dataclass(frozen=True, slots=True)
class GateRecord:
    """Whether `commit` may be promoted: the record of it, the page for people, and how each item ended."""

    commit: str
    incident: str
    folder: str
    page: str
    verdict: RunVerdict
    items: tuple[Result, ...]


def _gate_lines(record: GateRecord) -> Iterator[str]:
    yield read_regular(Path(record.page)).decode()
    yield f"record: {record.folder}"


def rehearse(migration: Migration, profile: Profile, *, take_over: TakeOver = False) -> None:
    """Rehearse COMMIT on a staging target: gate, deployment, checks, rollback, verification, record."""
    from rollback_actions.gate.rehearsal import Rehearsal, require_rehearsable
    from rollback_actions.session.lock import open_lock
    from rollback_actions.session.session import open_session, require_own_engine
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = require_rehearsable(target, migration)
    require_own_engine(target)
    lock = open_lock(target, f"rehearse {commit}", take_over=take_over)
    with open_session(target, lock, Step.REHEARSE, lambda: None) as session:
        outcome = Rehearsal(target, profile, commit, session.incident, session.steps).run()
    migrated = outcome.migrated
    typer.echo(f"after the migration: {migrated.checks}")
    typer.echo(f"data: {migrated.effects.verdict}: {migrated.effects.summary}")
    typer.echo(f"old code on the migrated data: {migrated.old_code}")
    typer.echo(f"rollback: {outcome.rolled_back}")
    verdicts = {*migrated.verdicts, outcome.rolled_back}
    if verdicts != {Verdict.PASSED}:
        raise typer.Exit(ExitCode.FAILED if Verdict.FAILED in verdicts else ExitCode.BROKEN)
