"""Programs that are run for a report: at the deadline, they are killed with all their children."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollproof.errors import Problem, reason_of
from rollproof.system.command import MAXIMUM_OUTPUT_BYTES, Deadline, inherited, last_lines, run_program

_SHOWN_LINES = 5


class NoReport(Problem):
    """The report cannot be rendered; its results are untouched."""


def run(
    command: Sequence[str],
    *,
    what: str,
    hint: str,
    seconds: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command` in `folder`, and return its output on both streams.

    Raises:
        NoReport: it cannot be started, times out after `seconds`, or fails, with its last lines.
    """

    def problem(expected: str, observed: str) -> NoReport:
        return NoReport(what=what, expected=expected, observed=observed, source=command[0], hint=hint)

    with tempfile.TemporaryFile() as output:
        try:
            code = run_program(
                command,
                Deadline(seconds),
                output=output,
                errors=output,
                environment=inherited() if environment is None else environment,
                folder=folder,
            )
        except OSError as error:
            raise problem("a program that starts", reason_of(error)) from None
        printed = last_lines(output, MAXIMUM_OUTPUT_BYTES)
    if code is None:
        raise problem(f"done within {seconds:g} s", "still running; stopped")
    if code != 0:
        last = "\n".join(printed.strip().splitlines()[-_SHOWN_LINES:])
        raise problem("exit code 0", f"{code}: {last}")
    return printed
