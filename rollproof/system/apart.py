"""Work in a process of its own: a crash of a driver's native thread there cannot end this process.

The work is a function with its arguments; both, and its result, must be picklable. ``python -m
rollproof.system.apart PARENT`` is the other process, and ends with its parent. It reads them from its
standard input, which is in memory alone since they hold secrets.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle  # between two processes of ours alone
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from rollproof.errors import ActionFailed, Meaning, Unverifiable, no_space
from rollproof.home import named_target, typed
from rollproof.system.command import (
    ERROR_LINES,
    ERROR_TAIL_BYTES,
    Deadline,
    inherited,
    last_lines,
    run_program,
)

PR_SET_PDEATHSIG = 1
"""Of `prctl(2)`: the signal that a process gets when its parent ends."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_BUSY = "see what this machine and the store are busy with, then run the command again"
_Answer = tuple[Result | None, Exception | None, OSError | None]


class Died(ActionFailed):
    """A process that worked apart ended without a result; this process is unharmed."""


def apart(
    what: str,
    seconds: float,
    do: Callable[Arguments, Result],
    /,
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Return the result of `do`, or raise its error, from a process of its own; `what` names it in errors.

    Raises:
        Died: the process was ended by a signal, or in another way that is no error of `do`.
        Unverifiable: it ran longer than `seconds`, or could not be started.
    """
    with (
        os.fdopen(os.memfd_create("apart"), "w+b") as given,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as words,
    ):
        pickle.dump((do, args, kwargs), given)
        given.seek(0)
        try:
            code = run_program(
                # Its hints name the same target.
                [sys.executable, "-P", "-m", __spec__.name, str(os.getpid()), f"--target={named_target()}"],
                Deadline(seconds),
                stdin=given,
                output=answer,
                errors=words,
                environment=inherited({"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}),
            )
        except OSError as error:
            raise Unverifiable.of_file(
                sys.executable, error, what=what, expected="a process that starts", hint=_BUSY
            ) from None
        lines = [line.strip() for line in last_lines(words, ERROR_TAIL_BYTES).splitlines() if line.strip()]
        if code is None:
            raise Unverifiable(
                what=what,
                expected=f"an end within {seconds:g} s",
                observed=f"still running; {' | '.join(lines[-ERROR_LINES:])}",
                source="a process of this command's own",
                hint=_BUSY,
                means=Meaning.TIMEOUT,
            )
        # A driver that ends the process has written no result, whatever its exit code.
        if code != 0 or answer.seek(0, os.SEEK_END) == 0:
            # A crash is told in the first lines, a traceback in the last.
            said = " | ".join(lines[:ERROR_LINES] if code < 0 else lines[-ERROR_LINES:]) or "no word"
            end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Died(
                what=what,
                expected="a result of the process that does it",
                observed=f"{end}: {said}",
                source="that process",
                hint="nothing else was harmed: run the command again, or, for an unfinished rollback, "
                f"{typed('rollback resume')}; report these lines if it happens twice",
                means=Meaning.CRASH,
            )
        answer.seek(0)
        found: _Answer[Result] = pickle.load(answer)  # noqa: S301 - our own process wrote it
    result, raised, full = found
    if raised is not None:
        raise raised from full
    return cast("Result", result)


def main(parent: int) -> None:
    """Do the work that standard input holds, and write its result, its error, and the full disk behind it."""
    faulthandler.enable()
    # What a driver prints is no answer.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("its parent has ended")
    do, args, kwargs = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own process wrote it
    try:
        said: _Answer[object] = do(*args, **kwargs), None, None
    except Exception as error:  # noqa: BLE001 - raised again by the parent
        full = no_space(error)
        said = None, error, None if full is error else full
    answer.write(pickle.dumps(said))
    answer.flush()
    # Native threads that are left may crash while Python ends; the result is out.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
