"""Whatever ends a command, its exit code says how."""

from __future__ import annotations

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
