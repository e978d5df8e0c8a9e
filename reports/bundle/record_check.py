"""Has the record in a bundle checked by `verify_record.py`, the checker that travels in each bundle.

It is run as anybody would run it, so that who makes a bundle sees what those will see who are given it.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import ExitCode, Unverifiable, reason_of
from rollproof.system.command import Deadline, inherited, last_lines, run_program

CHECKER = Path(__file__).with_name("verify_record.py")
# A bundle of some 20 MB is checked in one; what is larger gets more.
_SECONDS, _BYTES_A_SECOND = 10.0, 2 * 1024**2
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checker says of a record, a line each: first what does not hold.

    `code` is *passed* only if all of it holds, *broken* if something is not sealed or was not checked.
    """

    code: ExitCode
    lines: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all that is sealed holds."""
        return self.code is not ExitCode.FAILED


def check_record(bundle: Path, signers: Path | None = None) -> Checked:
    """Check the record in `bundle`; `signers` are the keys that may have signed it, anybody's without.

    Raises:
        Unverifiable: the checker cannot be run, or does not end in time.
    """
    arguments = [str(bundle), *([str(signers)] if signers is not None else [])]
    with tempfile.TemporaryFile() as output:
        try:
            seconds = _SECONDS + bundle.stat().st_size / _BYTES_A_SECOND
            code = run_program(
                [sys.executable, "-I", str(CHECKER), *arguments],
                Deadline(seconds),
                output=output,
                errors=output,
                environment=inherited(),
                with_us=True,
            )
        except OSError as error:
            raise _unchecked(bundle, reason_of(error)) from None
        said = last_lines(output, _MOST_BYTES)
    if code not in {ExitCode.VERIFIED, ExitCode.FAILED, ExitCode.BROKEN}:
        raise _unchecked(bundle, f"no end within {seconds:.0f} s" if code is None else f"exit code {code}")
    return Checked(ExitCode(code), tuple(said.splitlines()))


def _unchecked(bundle: Path, observed: str) -> Unverifiable:
    return Unverifiable(
        what="check of the record in the bundle",
        expected="one that comes to its end",
        observed=observed,
        source=str(CHECKER),
        hint=f"run it yourself: python {CHECKER} {bundle}",
    )
