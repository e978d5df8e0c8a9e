"""Runs of the checks, each in a process of its own."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from rollproof.errors import ExitCode, Unverifiable
from rollproof.home import HOME, INSTALLED
from rollproof.profile.profile import Target
from rollproof.system.command import GRACE_SECONDS, STANDARD_ERROR, Deadline, inherited, run_program

CHECKS_SECONDS = 900.0
# The time for one of our commands to end, longer than it gives its own programs.
_GRACE_SECONDS = 3 * GRACE_SECONDS


def run_checks(target: Target, profile: Path, markers: str, *options: str, quiet: bool = False) -> ExitCode:
    """Run the checks of `target` that `markers` select, in a process of their own; return their exit code.

    They have the time to restore a backup too. Their output goes to standard error, so that standard output
    stays the caller's; with `quiet`, it is kept from the terminal.
    """
    seconds = CHECKS_SECONDS + target.premigration.scratch.whole_seconds
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-m", markers),
        f"--target={profile.resolve()}",
        f"--rootdir={HOME}",
        *(("-p", "no:cacheprovider") if INSTALLED else ()),
        *options,
    ]
    # Ctrl-C's signal comes first: pytest then ends its own programs.
    code = run_program(
        command,
        Deadline(seconds),
        output=None if quiet else STANDARD_ERROR,
        errors=None if quiet else STANDARD_ERROR,
        environment=inherited(),
        folder=HOME,
        first=signal.SIGINT,
        grace=_GRACE_SECONDS,
    )
    if code in set(ExitCode):
        return ExitCode(code)
    raise Unverifiable(
        what=f"checks of {markers}",
        expected=f"a known exit code within {seconds:g} s",
        observed="still running; stopped" if code is None else f"exit code {code}",
        source="pytest",
        hint=f"run it by hand: {' '.join(command[1:])}",
    )
