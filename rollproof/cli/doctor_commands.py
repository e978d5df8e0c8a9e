"""The command `rollproof doctor`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rollproof.cli.options import AsJson, Profile
from rollproof.errors import ExitCode, shortened
from rollproof.home import typed

EXAMPLES = {"doctor_command": ("doctor --target prod.toml", "doctor --target prod.toml --json")}
_SHOWN = 120

if TYPE_CHECKING:
    from rollproof.doctor.examination import Line, Need
    from rollproof.profile.mistakes import ProfileProblem
    from rollproof.profile.profile import Target


def doctor_command(
    profile: Profile,
    patience: Annotated[
        float,
        typer.Option(min=1, max=100, help="Wait this many times as long, for a slow line or a busy machine."),
    ] = 1.0,
    *,
    as_json: AsJson = False,
) -> None:
    """Examine all that this target needs, on one page, by default within 10 s; changes nothing."""
    from reports.answers.doctor_lines import doctor_lines
    from reports.terminal.document import answer
    from rollproof.doctor.examination import (
        REQUEST_SECONDS,
        WHOLE_SECONDS,
        Examination,
        Line,
        NeedState,
        examine,
        lines_of,
    )
    from rollproof.doctor.probe_table import every_probe
    from rollproof.engines.factory import open_engine
    from rollproof.profile.mistakes import ProfileProblem
    from rollproof.profile.profile import load_target
    from rollproof.redaction.redactor import Redactor
    from rollproof.system.clock import Moment

    at, began = Moment.now(), time.monotonic()
    code: ExitCode | None = None
    try:
        target = load_target(profile)
    except ProfileProblem as problem:
        code, name = ExitCode.USAGE, shortened(Redactor().text(profile.stem), _SHOWN)
        lines = [
            *_mistakes(problem, Redactor().text),
            Line("all others", NeedState.UNKNOWN, "not asked", after="profile"),
        ]
    else:
        redact, name, stores = target.redactor().text, target.name, len(target.stores)
        first = [
            Line(
                "profile", NeedState.OK, redact(f"{profile}: {stores} {'store' if stores == 1 else 'stores'}")
            ),
            Line("secrets", NeedState.OK, "every secret that the profile names is there"),
        ]
        seconds = min(target.engine.deadline_seconds, patience * REQUEST_SECONDS)
        engine = open_engine(target.engine.model_copy(update={"deadline_seconds": seconds}))
        probes = [*every_probe(target, engine, patience), *_local_probes(target)]
        lines = [*first, *lines_of(examine(probes, patience * WHOLE_SECONDS, patience), redact)]
    found = Examination(name, at, time.monotonic() - began, tuple(lines))
    # Each line is already redacted.
    answer(found, doctor_lines, str, code or found.code, as_json=as_json)


def _mistakes(problem: ProfileProblem, redact: Callable[[str], str]) -> Iterator[Line]:
    """Yield a line for each reported mistake; a missing secret is a mistake of the key that names it."""
    from rollproof.doctor.examination import Line, NeedState

    for one in problem.reported:
        sides = f"expected {one.expected}, observed {one.observed}"
        text = f"{sides} (from {one.source})" if one.what == "profile" else f"{one.what}: {sides}"
        yield Line("profile", NeedState.WRONG, redact(text), redact(one.hint))
    if problem.unreported:
        yield Line("profile", NeedState.WRONG, f"{problem.unreported} more mistakes", "correct these first")


def _local_probes(target: Target) -> Sequence[Need]:
    """Return the probes of what is not in the target: unfinished rollbacks, the lock, Allure."""
    from reports.tools.node import installed_allure
    from rollback_actions.session.lock import open_lock
    from rollproof.doctor.examination import Need, NeedState, wrong
    from rollproof.planning.refusals import refuse_hold
    from rollproof.planning.unfinished import refuse_unfinished

    def rollback() -> str:
        refuse_unfinished(target.folders.incidents, target.name)
        refuse_hold(target)
        return "none is unfinished, and no hold is in force"

    def lock() -> str:
        open_lock(target, "doctor").refuse_held()
        return "free"

    def allure() -> str:
        found = installed_allure()
        if found is None:
            expected = "Node and Allure, which make a record's report.html"
            hint = f"the first report installs both from the network: {typed('report INCIDENT')}"
            raise wrong(expected, "none yet", hint, NeedState.ABSENT)
        return f"{found.node}, {found.script.parents[2].name}"

    return Need("rollback", rollback), Need("lock", lock, ("engine",)), Need("allure", allure)
