"""Whatever ends a command, its exit code says how."""

from __future__ import annotations

import errno
import os
import sys
import tempfile

import pytest
import typer

from fixtures.errors import ExitCode, UsageProblem
from rollback_actions.guard import guarded


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
def test_every_ending_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, ending: BaseException | None, code: ExitCode
) -> None:
    monkeypatch.setattr("sys.argv", ["command"])
    assert guarded(_application(ending)) is code


def test_a_bug_is_said_with_the_place_though_no_disk_takes_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    assert guarded(_application(ZeroDivisionError("x"))) is ExitCode.BROKEN
    said = capsys.readouterr().err
    assert "ZeroDivisionError; its traceback cannot be kept, No space left on device; it began in " in said
    assert f"{__file__}:" in said


def test_an_error_that_nobody_reads_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.argv", ["command"])
    with os.fdopen(writer, "w", buffering=1) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        assert guarded(_application(KeyboardInterrupt())) is ExitCode.INTERRUPTED
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


def test_a_result_that_nobody_reads_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        typer.echo("a result")

    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.argv", ["command"])
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        # Typer wraps both.
        monkeypatch.setattr("sys.stderr", sys.stderr)
        assert guarded(app) is ExitCode.BROKEN
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    said = capsys.readouterr().err
    assert "standard output: expected somebody who reads it, observed nobody" in said
