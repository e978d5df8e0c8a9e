"""Programs of the stack, run by `rollproof.system.command` to their end, within a deadline."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Problem, reason_of
from rollproof.system.command import Deadline, last_lines, run_program

GRACE_SECONDS = 10.0
# Of a longer output the end is returned.
OUTPUT_BYTES = 16 * 1024 * 1024
LOOK = "look at the stack: docker ps"
"""The hint for a program of the stack that fails, where nothing closer is known."""
TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended by itself, and its outputs."""

    returncode: int
    stdout: str
    stderr: str


def tail(text: str) -> str:
    """Return the last lines of a text that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-TAIL_LINES:])


def finish(
    arguments: Sequence[str],
    *,
    seconds: float,
    hint: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end, and return its exit code and outputs.

    The program gets its own session: a Ctrl-C in the terminal reaches this process alone, which then ends the
    program and all its children.

    `hint` is the reader's remedy if it does not end, and `environment` its whole environment: this process's
    own if None.

    Raises:
        Problem: The program is missing, or timed out; the message holds its last lines.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            code = run_program(
                arguments,
                Deadline(seconds),
                output=output,
                errors=errors,
                environment=os.environ if environment is None else environment,
                folder=folder,
                grace=GRACE_SECONDS,
            )
        except OSError as error:
            raise Problem(
                what=" ".join(arguments),
                expected="the program to be installed",
                observed=f"no {arguments[0]}: {reason_of(error)}",
                source="PATH",
                hint=hint,
            ) from error
        said, wrong = (last_lines(file, OUTPUT_BYTES) for file in (output, errors))
    if code is None:
        raise Problem(
            what=" ".join(arguments),
            expected=f"an end within {seconds:.0f} s",
            observed=f"none; its last lines were\n{tail(said + wrong)}",
            source="its output",
            hint=hint,
        )
    return Done(code, said, wrong)


def run(
    arguments: Sequence[str],
    *,
    seconds: float,
    hint: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program, which must succeed, and return its standard output; the arguments are those of `finish`.

    `environment` are variables on top of this process's own.

    Raises:
        Problem: As `finish`, or it ended with another code than 0; the message holds its last lines.
    """
    done = finish(
        arguments,
        seconds=seconds,
        hint=hint,
        folder=folder,
        environment={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        raise Problem(
            what=" ".join(arguments),
            expected="exit code 0",
            observed=f"{done.returncode}; its last lines were\n{tail(done.stdout + done.stderr)}",
            source="its output",
            hint=hint,
        )
    return done.stdout
