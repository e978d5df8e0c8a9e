"""The commands `backup`, `capture`, `save-state`, `compare` and `grants` of `rollproof`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, IncidentId, Profile, TakeOver
from rollproof.errors import UsageProblem, did_you_mean, shown
from rollproof.incident.journal_steps import Step
from rollproof.verdict import code_of_verdict, combine

EXAMPLES = {
    "backup_command": ("backup --target prod.toml",),
    "capture_command": ("capture --target prod.toml",),
    "save_state_command": ("save-state --target prod.toml",),
    "compare_command": ("compare current --target prod.toml",),
    "grants_command": ("grants --target prod.toml", "grants --target prod.toml --store mysql"),
}


def backup_command(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Back up every store in parallel, into a new backup set of the current commit."""
    from rollback_actions.backup.whole_backup import away_during_backup, back_up
    from rollback_actions.containers.compose import ComposeControl
    from rollback_actions.session.lock import open_lock
    from rollback_actions.session.session import open_session, require_own_engine
    from rollproof.engines.factory import open_engine
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
        engine, control = open_engine(target.engine), ComposeControl(target.engine)
        taken = back_up(target, head(target.application.repository), engine, control, session.steps)
    typer.echo(f"backup: {taken.folder}")


def capture_command(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Capture a baseline and make it current: commit, images, records, what the canary sees."""
    from rollback_actions.session.lock import open_lock
    from rollback_actions.session.session import open_session, require_own_engine
    from rollproof.doctor.capture import capture
    from rollproof.planning.unfinished import refuse_unfinished
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    require_own_engine(target, anew=True)
    lock = open_lock(target, "capture", take_over=take_over)
    with open_session(target, lock, Step.CAPTURE, lambda: incident) as session:
        refuse_unfinished(target.folders.incidents, target.name)
        folder = capture(target, session.steps)
    typer.echo(f"baseline: {folder}")


def save_state_command(profile: Profile) -> None:
    """Write the commit of the working copy into its file of this target, before a migration."""
    from rollproof.git.saved_commit import save_commit
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    named = target.premigration.state.commit_file
    commit, file = save_commit(named, target.name, target.application.repository)
    typer.echo(f"saved: {commit} in {file}")


def compare_command(
    baseline: Annotated[Path, typer.Argument(help="Folder of the baseline, or its name.")],
    profile: Profile,
    *,
    as_json: AsJson = False,
) -> None:
    """Compare the target with BASELINE, record by record; changes nothing."""
    from reports.answers.comparison import Comparison, comparison_lines
    from reports.terminal.document import answer
    from rollproof.baseline.folder import load_baseline, named_baseline
    from rollproof.baseline.target_comparison import compare_target
    from rollproof.engines.factory import open_engine
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    loaded = load_baseline(
        named_baseline(baseline, target.folders.baselines), target.name, target.baseline_key
    )
    findings = compare_target(target, open_engine(target.engine), loaded)
    verdict = combine(finding.verdict for finding in findings)
    spots = {store: content.blind_spots for store, content in loaded.facts.contents.items()}
    comparison = Comparison(loaded.id, verdict, spots, tuple(findings))
    # Keys of records may be secrets themselves, such as tokens of sessions.
    answer(comparison, comparison_lines, target.redactor().text, code_of_verdict(verdict), as_json=as_json)


def grants_command(
    profile: Profile,
    store: Annotated[
        list[str] | None,
        typer.Option(help="Only this store; may be repeated (default: all)."),
    ] = None,
) -> None:
    """Print the grants that each store's reader and operator need; asks no store."""
    from rollproof.profile.kinds import descriptor_of
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    if unknown := sorted(set(store or ()) - set(target.stores)):
        raise UsageProblem(
            what="store",
            expected=f"one of {', '.join(target.stores)}",
            observed=", ".join(map(shown, unknown)),
            source="the command line",
            hint=did_you_mean(unknown[0], target.stores, "leave --store out: all are printed then"),
        )
    for name in store or target.stores:
        section = target.stores[name]
        needed = descriptor_of(section).grants(section)
        for account, lines in (("reader", needed.reader), ("operator", needed.operator)):
            typer.echo(f"# {name} ({section.kind}), {account}")
            for line in lines or ("# nothing",):
                typer.echo(line)
            typer.echo("")
