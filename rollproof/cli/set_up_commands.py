"""The commands that set a target up: `init`, `doctor` and `capture`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import AsJson, IncidentId, Profile, TakeOver, examples
from rollproof.errors import ExitCode, UsageProblem
from rollproof.home import typed
from rollproof.incident.journal import Step

if TYPE_CHECKING:
    from rollproof.doctor.examination import Line, Need
    from rollproof.profile.mistakes import ProfileProblem
    from rollproof.profile.profile import Target

app = typer.Typer()
_ALL_SECRETS = "every secret that the profile names is there"


@app.command(
    epilog=examples(
        "init --project shop",
        "init --light --project shop",
        "init --file docker-compose.yml --output shop.toml",
    ),
)
def init(
    project: Annotated[
        str | None,
        typer.Option(help="A compose project that runs: it is asked, and nothing in it is changed."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="A compose file; may be repeated, in the order of docker compose. Needs no engine."
        ),
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="The environment file that docker compose is given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The profile to write (default: NAME.toml here).")
    ] = None,
    *,
    light: Annotated[
        bool, typer.Option("--light", help="Write three lines, enough for phase 1 and the health of phase 2.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a profile for a compose project, and print questions about what it could not find out."""
    from rollproof.init.initial import write_light_profile, write_profile

    if project is None and not file:
        raise UsageProblem(
            what="init",
            expected="--project NAME of a running project, or --file of a compose file",
            observed="neither",
            source="the command line",
            hint="docker compose ls names the running projects",
        )
    write = write_light_profile if light else write_profile
    for line in write(project, tuple(file or ()), env_file, output, force=force):
        typer.echo(line)


@app.command(epilog=examples("doctor --target prod.toml", "doctor --verify-only --target prod.toml"))
def doctor(
    profile: Profile,
    *,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Ask for what the four phases need alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Examine all that this target needs, on one page, within 20 s; changes nothing."""
    from reports.answers.doctor_lines import doctor_lines
    from reports.terminal.document import answer
    from rollproof.doctor.every_need import every_need, needs_of_phases
    from rollproof.doctor.examination import REQUEST_SECONDS, Examination, Line, NeedState, examine, lines_of
    from rollproof.engines.engine import open_engine
    from rollproof.profile.mistakes import ProfileProblem
    from rollproof.profile.profile import load_target, load_target_for_checks
    from rollproof.redaction.redactor import Redactor
    from rollproof.system.clock import Moment

    at, began = Moment.now(), time.monotonic()
    code: ExitCode | None = None
    try:
        target = load_target_for_checks(profile) if verify_only else load_target(profile)
    except ProfileProblem as problem:
        code, name = ExitCode.USAGE, Redactor().text(profile.stem)
        lines = [
            *_mistakes(problem, Redactor().text),
            Line("all others", NeedState.UNKNOWN, "not asked", after="profile"),
        ]
    else:
        redact, name = target.redactor().text, target.name
        seconds = min(target.engine.deadline_seconds, REQUEST_SECONDS)
        engine = open_engine(target.engine.model_copy(update={"deadline_seconds": seconds}))
        needs = needs_of_phases(target, engine) if verify_only else every_need(target, engine)
        lines = [
            Line("profile", NeedState.OK, redact(f"{profile}: {len(target.stores)} stores")),
            *([] if verify_only else [Line("secrets", NeedState.OK, _ALL_SECRETS)]),
            *lines_of(examine([*needs, *_local_needs(target)]), redact),
        ]
    found = Examination(name, at, time.monotonic() - began, tuple(lines))
    # Each line is already redacted.
    answer(found, doctor_lines, str, code or found.code, as_json=as_json)


def _mistakes(problem: ProfileProblem, redact: Callable[[str], str]) -> Iterator[Line]:
    """Yield a line for each mistake; a missing secret is a mistake of the key that names it."""
    from rollproof.doctor.examination import Line, NeedState

    for one in problem.mistakes:
        sides = f"expected {one.expected}, observed {one.observed}"
        text = f"{sides} (from {one.source})" if one.what == "profile" else f"{one.what}: {sides}"
        yield Line("profile", NeedState.WRONG, redact(text), redact(one.hint))


def _local_needs(target: Target) -> Sequence[Need]:
    """Return the questions about what is not in the target: unfinished rollbacks, the lock, Allure."""
    from reports.tools.node import installed_allure
    from rollback_actions.session.session import open_lock
    from rollproof.doctor.examination import Need, NeedState, UnmetNeed
    from rollproof.planning.unfinished import refuse_unfinished

    def rollback() -> str:
        refuse_unfinished(target.folders.incidents, target.name)
        return "none is unfinished"

    def lock() -> str:
        open_lock(target, "doctor").refuse_held()
        return "free"

    def allure() -> str:
        found = installed_allure()
        if found is None:
            expected = "Node and Allure, which make a record's report.html"
            hint = f"the first report installs both from the network: {typed('report INCIDENT')}"
            raise UnmetNeed(expected, "none yet", hint, NeedState.ABSENT)
        return f"{found.node}, {found.script.parents[2].name}"

    return Need("rollback", rollback), Need("lock", lock, ("engine",)), Need("allure", allure)


@app.command(epilog=examples("capture --target prod.toml"))
def capture(profile: Profile, incident: IncidentId = None, *, take_over: TakeOver = False) -> None:
    """Capture a baseline and make it current: commit, images, records, what the canary sees."""
    from rollback_actions.session.session import open_lock, open_session, require_own_engine
    from rollproof.doctor.every_need import require_capturable
    from rollproof.observation.capture import capture
    from rollproof.planning.unfinished import refuse_unfinished
    from rollproof.profile.profile import load_target

    target = load_target(profile)
    require_own_engine(target, capturing=True)
    lock = open_lock(target, "capture", take_over=take_over)
    with open_session(target, lock, Step.CAPTURE, lambda: incident) as session:
        refuse_unfinished(target.folders.incidents, target.name)
        folder = capture(target, session.steps, require_capturable)
    typer.echo(f"baseline: {folder}")
