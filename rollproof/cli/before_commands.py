"""The commands before a migration: what must hold is prepared, announced, rehearsed and decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, By, Engineer, IncidentId, Profile, TakeOver, examples
from rollproof.errors import ExitCode, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import find_or_create_change
from rollproof.incident.journal import Step
from rollproof.incident.ledger import CheckResult, runs
from rollproof.reading import read_regular
from rollproof.record_names import GATE_PAGE
from rollproof.verdict import RunVerdict, Verdict

app = typer.Typer()
Migration = Annotated[str, typer.Argument(metavar="COMMIT", help="Hash of the commit to promote.")]


@app.command(epilog=examples("backup --target prod.toml"))
def backup(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Back up every store, into a new backup set of the current commit."""
    from rollback_actions.backup.whole_backup import away_during_backup, back_up
    from rollback_actions.containers.control import open_control
    from rollback_actions.session.session import open_lock, open_session, require_own_engine
    from rollproof.engines.engine import open_engine
    from rollproof.git.repository import head
    from rollproof.planning.unfinished import refuse_unfinished
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    require_own_engine(target)
    lock = open_lock(target, "backup", take_over=take_over)
    with open_session(target, lock, Step.BACKUP, lambda: incident) as session:
        refuse_unfinished(target.folders.incidents, target.name)
        for line in away_during_backup(target):
            typer.echo(line, err=True)
        engine, control = open_engine(target.engine), open_control(target.engine)
        taken = back_up(target, head(target.application.repository), engine, control, session.steps)
    typer.echo(f"backup: {taken.folder}")


@app.command(epilog=examples("save-state --target prod.toml"))
def save_state(profile: Profile) -> None:
    """Write the commit of the working copy into its file of this target, before a migration."""
    from rollproof.git.repository import save_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    named = target.premigration.state.commit_file
    commit, file = save_commit(named, target.name, target.application.repository)
    typer.echo(f"saved: {commit} in {file}")


@app.command(epilog=examples("notify HEAD --target prod.toml --when 'today at 20:00'"))
def notify(
    migration: Migration,
    profile: Profile,
    when: Annotated[str | None, typer.Option(help="Planned time, in your own words.")] = None,
) -> None:
    """Notify the team of the migration to COMMIT, by every channel of the profile."""
    from rollback_actions.contacts.contacts import notify
    from rollproof.git.repository import resolve_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    deliveries = notify(target, profile, commit, when, partial(typer.echo, err=True))
    redact = target.redactor().text
    for channel, delivery in deliveries.items():
        typer.echo(redact(f"channel {channel}: {delivery}"))
    if not all(one.delivered for one in deliveries.values()):
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog=examples("acknowledge HEAD --target prod.toml --as 'Ada Lovelace'"))
def acknowledge(migration: Migration, profile: Profile, name: Engineer, by: By = None) -> None:
    """Record that an engineer on call knows of the migration to COMMIT and will be there."""
    from rollback_actions.contacts.contacts import acknowledge
    from rollproof.git.repository import resolve_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = resolve_commit(target.application.repository, migration)
    acknowledge(target, commit, name, by, partial(typer.echo, err=True))
    typer.echo(target.redactor().text(f"acknowledged by {name}: the migration to {commit[:12]}"))


@app.command(epilog=examples("rehearse HEAD --target staging.toml"))
def rehearse(migration: Migration, profile: Profile, *, take_over: TakeOver = False) -> None:
    """Rehearse COMMIT on a staging target: gate, deployment, checks, rollback, verification, record."""
    from rollback_actions.containers.control import open_control
    from rollback_actions.gate.rehearsal import Rehearsal, require_rehearsable
    from rollback_actions.session.session import open_lock, open_session, require_own_engine
    from rollproof.engines.engine import open_engine
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    commit = require_rehearsable(target, migration)
    require_own_engine(target)
    lock = open_lock(target, f"rehearse {commit}", take_over=take_over)
    with open_session(target, lock, Step.REHEARSE, lambda: None) as session:
        outcome = Rehearsal(
            target,
            profile,
            commit,
            session.incident,
            session.steps,
            open_engine(target.engine),
            open_control(target.engine),
        ).run()
    typer.echo(f"after the migration: {outcome.checks}")
    typer.echo(f"data: {outcome.effects.verdict}: {outcome.effects.summary}")
    typer.echo(f"old code on the migrated data: {outcome.old_code}")
    typer.echo(f"rollback: {outcome.rolled_back}")
    if outcome.verdicts != {Verdict.PASSED}:
        raise typer.Exit(ExitCode.FAILED if Verdict.FAILED in outcome.verdicts else ExitCode.BROKEN)


@app.command(
    epilog=examples("gate HEAD --target prod.toml", "gate v1.5.0 --target prod.toml --junit gate.xml"),
)
def gate(
    migration: Migration,
    profile: Profile,
    junit: Annotated[Path | None, typer.Option(help="File to write the items to, as JUnit XML.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Decide whether COMMIT may be promoted: exit 0 promotes. Prints one page of Markdown."""
    from reports.terminal.document import answer
    from rollback_actions import check_run
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
    code = check_run.run_checks(target, profile, "premigration", *options)
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
    items: tuple[CheckResult, ...]


def _gate_lines(record: GateRecord) -> Iterator[str]:
    yield read_regular(Path(record.page)).decode()
    yield f"record: {record.folder}"
