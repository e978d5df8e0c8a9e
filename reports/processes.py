"""Programs that are run for a report: with a deadline, and gone with all their children when it passes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fixtures.errors import Problem

_SHOWN_LINES = 5


class NoReport(Problem):
    """The report cannot be rendered; the results that it would be made from are untouched."""


def run(
    command: Sequence[str],
    *,
    what: str,
    hint: str,
    seconds: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command` in `folder` and return what it printed.

    Raises:
        NoReport: it cannot be started, is not done within `seconds`, or fails; says its last lines.
    """

    def problem(expected: str, observed: str) -> NoReport:
        return NoReport(what=what, expected=expected, observed=observed, source=command[0], hint=hint)

    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise problem("a program that starts", str(error.strerror)) from None
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise problem(f"done within {seconds:g} s", "still running; stopped") from None
            raise
    if process.returncode != 0:
        last = "\n".join(output.strip().splitlines()[-_SHOWN_LINES:])
        raise problem("exit code 0", f"{process.returncode}: {last}")
    return output
