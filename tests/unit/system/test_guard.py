"""Whatever ends a command, its exit code says how; what it says is no order to the terminal, nor a secret."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import typer

from reports.answers.monitor_view import View
from reports.terminal.guard import guarded
from reports.terminal.progress import Progress
from rollproof.errors import (
    ActionFailed,
    Described,
    ExitCode,
    Meaning,
    Mismatch,
    Problem,
    Unverifiable,
    UsageProblem,
)
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from rollproof.redaction.redactor import forms_of
from rollproof.redaction.secret import remember
from rollproof.stores.contract import Withheld
from tests.conftest import write_profile
from tests.unit.made_samples import samples, value


@pytest.fixture(autouse=True)
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["command"])


def _application(ending: BaseException | None) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        if ending is not None:
            raise ending

    return app


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (None, ExitCode.VERIFIED),
        *((typer.Exit(code), code) for code in ExitCode),
        (typer.Exit(77), ExitCode.BROKEN),
        (typer.Exit(-9), ExitCode.BROKEN),
        (typer.Abort(), ExitCode.INTERRUPTED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ZeroDivisionError("x"), ExitCode.BROKEN),
        (
            UsageProblem(what="a", expected="b", observed="c", source="d", hint="e"),
            ExitCode.USAGE,
        ),
    ],
)
def test_every_ending_has_its_exit_code(ending: BaseException | None, code: ExitCode) -> None:
    assert guarded(_application(ending)) is code


@pytest.mark.usefixtures("terminal_can_be_lost")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does(
    capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    app = typer.Typer()
    undone: list[str] = []

    @app.command()
    def command() -> None:
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait()
        finally:
            undone.append("undone")

    # As in a process of its own; pytest handles the signal likewise.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert guarded(app) is ExitCode.INTERRUPTED
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert undone == ["undone"]
    assert capsys.readouterr().err == "interrupted\n"


def test_an_error_is_no_order_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    problem = UsageProblem(what="x", expected="y", observed="a\x1b[2J\rb\x9b2J\u202e", source="z", hint="h")
    guarded(_application(problem))
    assert "observed a\\u001b[2J\\u000db\\u009b2J\\u202e" in capsys.readouterr().err


SECRET = "p@ss/wörd'kT9vQx2R7mWp"  # noqa: S105 - a canary


@pytest.mark.parametrize("more", ["", "[limits]\nmemory_percent = 101\n"], ids=["right", "refused"])
def test_a_traceback_and_what_is_said_hold_no_secret_of_the_profile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: str,
) -> None:
    profile = write_profile(tmp_path, more)
    (tmp_path / "canary_password").write_text(SECRET, encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = typer.Typer()

    @app.command()
    def command() -> None:
        try:
            load_target(profile)
        except ProfileProblem as problem:
            problem.add_note(f"as read: {SECRET}")
            raise ValueError(f"mysql://app:{quote(SECRET, safe='')}@db") from problem
        raise KeyError(SECRET)

    assert guarded(app) is ExitCode.BROKEN
    (kept,) = tmp_path.glob("rollproof/*.txt")
    text = kept.read_text(encoding="utf-8") + capsys.readouterr().err
    assert "[redacted]" in text
    assert not any(form in text for form in forms_of(SECRET))


def test_a_problem_is_said_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    remember(SECRET)
    problem = UsageProblem(what="a", expected="b", observed=SECRET, source="d", hint="e")
    problem.add_note(f"note: {SECRET}")

    assert guarded(_application(problem)) is ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.count("[redacted]") == 2
    assert SECRET not in said


def test_what_others_wrote_is_no_order_to_the_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        with progress.step("restore a\x1b[2Jb") as step:
            step.result = "3\x1b[H\x9b2J"
        progress.say("x\u202ey")
    assert not {"\x1b", "\x9b", "\u202e"} & {*stream.getvalue()}
    assert "a\\u001b[2Jb" in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_probe_says_is_no_order_to_the_terminal(as_json: bool) -> None:  # noqa: FBT001 - of a table
    said = "a\x1b[2J\x9b2J\u202eb"
    (sample,) = samples(1, lambda _: {"store redis": value(None, ok=False)})
    probe = replace(sample.probes["store redis"], text=said)
    stream = io.StringIO()
    View(stream, as_json=as_json).show(replace(sample, probes={"redis": probe}))
    assert not {"\x1b", "\x9b", "\u202e"} & {*stream.getvalue()}
    assert not as_json or json.loads(stream.getvalue())["probes"]["redis"]["text"] == said


@pytest.mark.parametrize("kind", [Problem, Unverifiable, ActionFailed, Withheld, Mismatch])
def test_an_error_survives_the_way_to_another_process(kind: type[Described]) -> None:
    told = kind(what="it", expected=("a", object), observed=print, source="b", hint="c", means=Meaning.LATE)
    told.add_note("and more")
    found = pickle.loads(pickle.dumps(told))  # noqa: S301 - its own
    assert type(found) is kind
    assert (str(found), found.what, found.source, found.hint) == (str(told), "it", "b", "c")
    assert (found.expected, found.observed) == (str(told.expected), str(told.observed))
    assert (found.means, found.summary) == (Meaning.LATE, told.summary)
    assert found.__notes__ == ["and more"]


def test_what_is_wrong_fails_and_what_is_not_known_is_broken() -> None:
    assert issubclass(Mismatch, AssertionError)
    assert not issubclass(Mismatch, Problem)
    assert not issubclass(Problem, AssertionError)
