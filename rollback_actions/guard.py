"""The edge of every command line: errors become two lines and an exit code, never a traceback."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from typer.exceptions import Abort, TyperException

from fixtures.errors import ExitCode, Problem, describe
from fixtures.redaction import Redactor

_CTRL_C = 130


def guarded(command: Callable[..., object]) -> ExitCode:
    """Run a Typer application and return its exit code.

    An error that nobody foresaw is a bug of ours: its traceback goes to a file, for whoever mends it.
    """
    try:
        code = command(standalone_mode=False)
    except TyperException as error:
        text = describe(
            what="command line",
            expected="a command and arguments that --help lists",
            observed=error.format_message(),
            source="the arguments",
            hint="add --help",
        )
        print(text, file=sys.stderr)
        return ExitCode.USAGE
    except (KeyboardInterrupt, Abort):
        return _interrupted()
    except Problem as problem:
        print("\n".join([str(problem), *getattr(problem, "__notes__", [])]), file=sys.stderr)
        return problem.exit_code
    except Exception as error:  # noqa: BLE001 - the edge: nothing may pass it unformatted
        print(f"internal error: {type(error).__name__}; traceback in {_kept(error)}", file=sys.stderr)
        print("HINT: report it with that file; what was done up to then is in the journal", file=sys.stderr)
        return ExitCode.BROKEN
    return _code_of_exit(code)


def _code_of_exit(code: object) -> ExitCode:
    """Return the exit code of a command that ended without an error.

    Outside its standalone mode, Typer returns the code of an exit, also of one that it made of Ctrl-C.
    """
    if code == _CTRL_C:
        return _interrupted()
    if not isinstance(code, int):
        return ExitCode.VERIFIED
    return ExitCode(code) if code in set(ExitCode) else ExitCode.BROKEN


def _interrupted() -> ExitCode:
    print("interrupted", file=sys.stderr)
    return ExitCode.INTERRUPTED


def _kept(error: Exception) -> Path:
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="rollproof-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(Redactor(()).text(text))
        return Path(file.name)
