"""The edge of every command line: errors become two lines and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from typer import Abort, TyperException

from reports.terminal.document import answer_problem, expect_no_document
from rollproof.errors import (
    Described,
    ExitCode,
    Mismatch,
    Problem,
    UsageProblem,
    code_of,
    disk_full,
    for_a_terminal,
    no_space,
    reason_of,
)
from rollproof.system.process import ended_as_by_ctrl_c
from rollproof.system.state import made_state_folder

_CTRL_C = 130


def guarded(command: Callable[..., object]) -> ExitCode:
    """Run a Typer application and return its exit code.

    An unforeseen error is a bug of ours: its traceback goes to a file, for the person who fixes it. Messages
    and that file hold no secret that this process knows. A command that ends with a document prints it
    with the error in it, and the message too.
    """
    expect_no_document()
    try:
        with ended_as_by_ctrl_c():
            code = command(standalone_mode=False)
    except TyperException as error:
        return _ended(_of_usage(error), ExitCode.USAGE)
    except (KeyboardInterrupt, Abort):
        return _interrupted()
    except (Problem, Mismatch) as error:
        return _ended(error, code_of(error) if isinstance(error, Problem) else ExitCode.FAILED)
    except (BrokenPipeError, SystemExit):
        # Typer's way out when nobody reads the output; its code would mean that an action failed.
        return _unread()
    except Exception as error:  # noqa: BLE001 - the edge: nothing may pass it unformatted
        return _unforeseen(error)
    return _code_of_exit(code)


def _ended(error: Described, code: ExitCode) -> ExitCode:
    """Print an error and its notes, each different text once. Return `code`."""
    _say("\n".join(dict.fromkeys([str(error), *getattr(error, "__notes__", [])])))
    answer_problem(error, code, _redacted)
    return code


def _of_usage(error: TyperException) -> UsageProblem:
    """Return the error in the arguments, with the help of that very command to paste."""
    path = getattr(getattr(error, "ctx", None), "command_path", "")
    return UsageProblem(
        what=f"command {path}" if path else "command line",
        expected="a command and arguments that --help lists",
        observed=error.format_message() or "none",
        source="the command line",
        hint=f"{path} --help" if path else "add --help",
    )


def _unforeseen(error: Exception) -> ExitCode:
    if (full := no_space(error)) is not None:
        return _ended(disk_full(full), ExitCode.BROKEN)
    bug = Problem(
        what="internal error",
        expected="none",
        observed=f"{type(error).__name__}; {_kept(error)}",
        source="this program",
        hint="report it with that; what was done up to then is in the journal",
    )
    _say(f"internal error: {bug.observed}\nHINT: {bug.hint}")
    answer_problem(bug, ExitCode.BROKEN, _redacted)
    return ExitCode.BROKEN


def _code_of_exit(code: object) -> ExitCode:
    """Return the exit code of a command that ended without an error.

    Outside its standalone mode, Typer returns the code of an exit, even of an exit that it made of Ctrl-C.
    """
    if code == _CTRL_C:
        return _interrupted()
    if not isinstance(code, int):
        return ExitCode.VERIFIED
    return ExitCode(code) if code in set(ExitCode) else ExitCode.BROKEN


def _unread() -> ExitCode:
    """Say nothing to a reader who has gone, as after ``| head``; the exit code is not that of success."""
    # Python would complain of what is still to be written when it ends.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.BROKEN


def _interrupted() -> ExitCode:
    _say("interrupted")
    stopped = Problem(
        what="command",
        expected="its end",
        observed="interrupted",
        source="Ctrl-C, or a signal",
        hint="run it again",
    )
    answer_problem(stopped, ExitCode.INTERRUPTED, _redacted)
    return ExitCode.INTERRUPTED


def _say(text: str) -> None:
    text = for_a_terminal(_redacted(text))
    # Standard error may be closed: then the exit code alone has the result.
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _kept(error: Exception) -> str:
    """Keep the traceback in a file; return its name, or the reason for none and the place of the error."""
    text = "".join(traceback.format_exception(error))
    try:
        descriptor, name = tempfile.mkstemp(".txt", "crash-", made_state_folder())
        os.close(descriptor)
        Path(name).write_text(_redacted(text), encoding="utf-8", errors="backslashreplace")
    except (OSError, Problem) as unkept:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        began = f"{frame.filename}:{frame.lineno}"
        return f"its traceback cannot be kept, {reason_of(unkept)}; it began in {began}"
    return f"traceback in {name}"


def _redacted(text: str) -> str:
    from rollproof.redaction.redactor import Redactor  # noqa: PLC0415 - help is said without it

    return Redactor().text(text)
