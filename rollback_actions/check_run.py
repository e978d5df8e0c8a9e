"""Commands of this suite, typed as by an operator, each in its own process: runs of the checks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rollproof.errors import ExitCode, Unverifiable
from rollproof.home import HOME, INSTALLED
from rollproof.profile.profile import Target
from rollproof.system.command import GRACE_SECONDS, STANDARD_ERROR, Deadline, inherited, run_program

CHECKS_SECONDS = 900.0
# The time for one of our commands to end, longer than it gives its own programs.
_GRACE_SECONDS = 3 * GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class CheckRun:
    """Runs of the checks on the target that `profile` describes.

    A run may take `seconds`. Its output goes to standard error, so that standard output stays the caller's.
    """

    profile: Path
    seconds: float

    @classmethod
    def of(cls, target: Target, profile: Path) -> Self:
        """Return runs of the checks of `target`, which may restore a backup."""
        return cls(profile, CHECKS_SECONDS + target.premigration.scratch.whole_seconds)

    def run(self, markers: str, *options: str, quiet: bool = False) -> ExitCode:
        """Run the checks that `markers` select; return their exit code.

        With `quiet`, their output is kept from the terminal.

        Raises:
            Unverifiable: they did not end within `seconds`, or ended with an unknown exit code.
        """
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-m", markers),
            f"--target={self.profile.resolve()}",
            f"--rootdir={HOME}",
            *(("-p", "no:cacheprovider") if INSTALLED else ()),
            *options,
        ]
        code = run_ours(command, self.seconds, output=None if quiet else STANDARD_ERROR)
        if isinstance(code, ExitCode):
            return code
        raise Unverifiable(
            what=f"checks of {markers}",
            expected=f"a known exit code within {self.seconds:g} s",
            observed="still running; stopped" if code is None else f"exit code {code}",
            source="pytest",
            hint=f"run it by hand: {' '.join(command[1:])}",
        )


def run_ours(command: Sequence[str], seconds: float, *, output: int | None) -> ExitCode | int | None:
    """Run a command of this suite in its own process; return its exit code, or None if it timed out.

    Its standard output goes to `output`, and its errors to standard error; with None, neither is shown. To
    interrupt it, Ctrl-C's signal is sent first: the command then ends its own programs.
    """
    code = run_program(
        command,
        Deadline(seconds),
        output=output,
        errors=None if output is None else STANDARD_ERROR,
        environment=inherited(),
        folder=HOME,
        first=signal.SIGINT,
        grace=_GRACE_SECONDS,
    )
    return ExitCode(code) if code in set(ExitCode) else code
