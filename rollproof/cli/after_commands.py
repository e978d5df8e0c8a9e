"""The commands after a rollback: `verify`, which is pytest from any folder, `compare`, `replay`, `reopen`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rollproof.cli.options import AsJson, Engineer, Profile, TakeOver, examples
from rollproof.errors import ExitCode
from rollproof.home import HOME, INSTALLED
from rollproof.runbook import STAGES
from rollproof.verdict import code_of_verdict, combine

app = typer.Typer()
_EVERY = ("verification", "premigration", *STAGES)
"""All that can be verified, by its marker."""
# pytest takes a loose word for a path, in which it looks for its root, until it knows the option before it.
_WITH_A_WORD = frozenset({"--target", "--incident", "--baseline", "--migration"})


@app.command(
    epilog=examples(
        "verify --target prod.toml",
        "verify phase1 -n 2 --target prod.toml --junitxml out.xml",
        "verify premigration --migration HEAD --target prod.toml",
        "verify phase1 --targets 'targets/*.toml' --junitxml junit",
    ),
    # The other options are pytest's.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
def verify(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHASE… PYTEST-OPTIONS…",
            help="verification (the default), phase1 to phase4, premigration, step1 to step5; then "
            "options of pytest, and of the suite: --target, --incident, --baseline, --migration, --no-gate.",
        ),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Verify all profiles that the pattern matches, side by side."),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Targets at a time, of --targets (default: the number of processors)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the page and logs of --targets (default: a new one in incidents)."),
    ] = None,
    junitxml: Annotated[
        Path | None,
        typer.Option(help="File for JUnit's XML; with --targets a folder, for a file of each target."),
    ] = None,
) -> None:
    """Verify the target: run the checks of the phases, in order, with pytest's options and exit codes.

    The profile is the one of --target, else of ROLLPROOF_TARGET. All options: verify -- --help.
    """
    # The suite's own modules come first, whatever else is installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    if targets:
        from rollproof.cli.fleet import verify_fleet

        code = verify_fleet(
            targets, words or [], pytest_words, folder=output, junit=junitxml, at_once=at_once
        )
        raise typer.Exit(code)
    rest = [*(words or []), *([f"--junitxml={junitxml}"] if junitxml else [])]
    command = [sys.executable, "-P", "-m", "pytest", *pytest_words(rest)]
    sys.stdout.flush()
    # pytest takes the place of this process.
    os.execv(sys.executable, command)  # noqa: S606


def pytest_words(words: Sequence[str]) -> list[str]:
    """Return pytest's arguments for `words`, as they are typed after `verify`: phases, then pytest's own."""
    rest, phases = list(words), list[str]()
    while rest and rest[0] in _EVERY:
        phases.append(rest.pop(0))
    marked = any(word == "-m" or (word.startswith("-m") and not word.startswith("--")) for word in rest)
    markers = " or ".join(phases) or ("" if marked else "verification")
    return [
        f"--rootdir={HOME}",
        f"--config-file={HOME / 'pyproject.toml'}",
        *("-p", "rollproof.plugin"),
        *(("-p", "no:cacheprovider") if INSTALLED else ()),
        *(("-m", markers) if markers else ()),
        *_joined(rest),
    ]


def _joined(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _WITH_A_WORD:
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined


@app.command(epilog=examples("compare current --target prod.toml"))
def compare(
    baseline: Annotated[Path, typer.Argument(help="Folder of the baseline, or its name.")],
    profile: Profile,
    *,
    limits: Annotated[
        bool, typer.Option("--limits", help="Name what no digest of the stores knows, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the target with BASELINE, record by record; changes nothing."""
    from reports.answers.comparison import Comparison, comparison_lines
    from reports.terminal.document import answer
    from reports.terminal.progress import Progress
    from rollproof.baseline.folder import load_baseline, named_baseline
    from rollproof.engines.engine import open_engine
    from rollproof.observation.observation import findings_on
    from rollproof.observation.store import StoreReading
    from rollproof.profile.profile import load_target_for_checks
    from rollproof.stores.registry import at_place

    target = load_target_for_checks(profile)
    loaded = load_baseline(
        named_baseline(baseline, target.folders.baselines), target.name, target.baseline_key
    )
    with ExitStack() as opened:
        reading = StoreReading(target, open_engine(target.engine), lambda: loaded)
        if target.verification is not None:
            cluster = at_place("rollproof.scale.cluster:Cluster")(target, target.verification)
            workers = opened.enter_context(cluster)
            reading = replace(
                reading,
                digests_of=lambda at, recorded, _: workers.digests_of(at.store, at.name, recorded, loaded),
            )
        progress = opened.enter_context(Progress(redact=target.redactor().text))
        findings = findings_on(reading, shown=progress.step)
    verdict = combine(finding.verdict for finding in findings)
    spots = {store: content.blind_spots for store, content in loaded.facts.contents.items()}
    comparison = Comparison(loaded.id, verdict, spots, tuple(findings))
    # Keys of records may be secrets themselves, such as tokens of sessions.
    lines = partial(comparison_lines, limits=limits)
    answer(comparison, lines, target.redactor().text, code_of_verdict(verdict), as_json=as_json)


@app.command(
    epilog=examples(
        "replay incidents/INCIDENT/lost-window/mysql/0000-shop.orders.jsonl --target prod.toml",
        "replay --deletions incidents/INCIDENT/lost-window/mysql/revived.jsonl --target prod.toml",
    ),
)
def replay(
    file: Annotated[Path, typer.Argument(help="File of lines in the lost window of an incident.")],
    profile: Profile,
    *,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace records that are there in another version."),
    ] = False,
    deletions: Annotated[
        bool,
        typer.Option("--deletions", help="Delete what users had deleted: FILE is revived.jsonl of a store."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    take_over: TakeOver = False,
) -> None:
    """Put the exported records of FILE back into their store, one by one; exit 1 if some could not be.

    A record that is there in the same version counts as put back; one that is there in another version, as
    after a change since the backup, is reported, and replaced only with --overwrite. A second run changes
    nothing, except Kafka, and Milvus where it makes the keys itself: these append what is not at its old
    offset or key.

    With --deletions, it lists the records that users had deleted and that the restore brought back, asks, and
    deletes those that are as they came back.
    """
    from rollback_actions.rollback import deletions as deleted
    from rollback_actions.rollback import replay as replayed

    done = (
        deleted.delete_again(profile, file, yes=yes, take_over=take_over)
        if deletions
        else replayed.replay(profile, file, overwrite=overwrite, take_over=take_over)
    )
    if not done:
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    epilog=examples("reopen INCIDENT --target prod.toml --fix HEAD --as Ada --root-cause 'a lock'"),
)
def reopen(
    incident: Annotated[str, typer.Argument(help="Incident of the rollback.")],
    profile: Profile,
    name: Engineer,
    fix: Annotated[str, typer.Option(help="Hash of the commit with the fix.")],
    root_cause: Annotated[
        str, typer.Option(help='Root cause of the failed migration, such as "$(cat FILE)".')
    ],
) -> None:
    """Reopen the gate for the fix of what INCIDENT rolled back; the original stays closed."""
    from rollback_actions.gate.reopening import reopen
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    redact = target.redactor().text
    found = reopen(target, incident, fix, root_cause, name, partial(typer.echo, err=True))
    typer.echo(redact(f"reopened by {found.name}: incident {found.incident}, for fix {found.fix}"))
