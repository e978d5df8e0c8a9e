"""A run of the checks as an operator makes it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fixtures.errors import ExitCode, Unverifiable
from fixtures.target import Target

ROOT = Path(__file__).resolve().parent.parent
CHECKS_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class CheckRun:
    """Runs of the checks of the target that `profile` describes.

    `workers` is how many processes share the checks; a run has `seconds`. What it prints goes to the standard
    error, so that the standard output is the caller's.
    """

    profile: Path
    workers: int
    seconds: float

    @classmethod
    def of(cls, target: Target, profile: Path, workers: int = 2) -> Self:
        """Return runs of the checks of `target`, which may restore a backup."""
        return cls(profile, workers, CHECKS_SECONDS + target.premigration.scratch.whole_seconds)

    def run(self, markers: str, *options: str, quiet: bool = False) -> ExitCode:
        """Run the checks that `markers` select; return what came of it.

        With `quiet`, what they print is kept from the terminal.

        Raises:
            Unverifiable: they came to no end within `seconds`, or to one that has no meaning.
        """
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-m", markers),
            f"--target={self.profile.resolve()}",
            f"--rootdir={ROOT}",
            "--tb=line" if quiet else "--tb=short",
            *(("-n", str(self.workers)) if self.workers > 1 else ()),
            *options,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                timeout=self.seconds,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if quiet else sys.stderr,
                stderr=subprocess.STDOUT if quiet else None,
            )
            return ExitCode(done.returncode)
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise Unverifiable(
                what=f"checks of {markers}",
                expected=f"a known exit code within {self.seconds:g} s",
                observed=type(error).__name__,
                source="pytest",
                hint=f"run it by hand: {' '.join(command[1:])}",
            ) from None
