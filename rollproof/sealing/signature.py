"""SSH signatures, made and checked by ``ssh-keygen -Y``, which is on every machine that has git or ssh.

The key is a file, or with its public half alone (``.pub``) one of the agent. Nothing asks for a passphrase:
at night nobody would see the question.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from rollproof.errors import Unverifiable
from rollproof.profile.profile import Signing
from rollproof.system.command import Deadline, inherited, last_lines, run_program

NAMESPACE = "rollproof"
"""What the signatures are for: one made for something else is refused."""
_SECONDS = 10.0
_MOST_BYTES = 64 * 1024
_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]+")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds: its key's fingerprint, and who that is by `allowed_signers`, "" without it."""

    key: str
    by: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return f"signed {f'by {self.by} ' if self.by else ''}with the key {self.key}"


class WrongSignature(ValueError):
    """A signature that does not hold. Its text says why."""


def sign(data: bytes, signing: Signing) -> str:
    """Return the signature of `data`."""
    code, signature, error = _keygen(["-Y", "sign", "-n", NAMESPACE, "-f", str(signing.key)], data)
    if code == 0:
        return signature
    raise Unverifiable(
        what="signature of the record",
        expected="one by ssh-keygen",
        observed=f"no end within {_SECONDS:g} s" if code is None else error or f"exit code {code}",
        source=f"signing.key in the profile, {signing.key}",
        hint="a key without a passphrase, or its .pub and an agent: ssh-add KEY; try: "
        f"echo x | ssh-keygen -Y sign -n {NAMESPACE} -f {signing.key}",
    )


def check_signature(data: bytes, signature: str, signing: Signing) -> Signed:
    """Return whose signature of `data` this is; without `allowed_signers` anybody's.

    Raises:
        WrongSignature: it is none, is of other data, or of a key that `allowed_signers` does not name.
        Unverifiable: there is no ssh-keygen.
    """
    by, signers = "", ["-f", str(signing.allowed_signers)]
    with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="rollproof-") as file:
        file.write(signature)
        file.flush()
        of = ["-n", NAMESPACE, "-s", file.name]
        if signing.allowed_signers is None:
            code, output, error = _keygen(["-Y", "check-novalidate", *of], data)
        else:
            code, output, error = _keygen(["-Y", "find-principals", "-s", file.name, *signers], b"")
            by = next(iter(output.splitlines()), "")
            if by:
                code, output, error = _keygen(["-Y", "verify", "-I", by, *signers, *of], data)
    keys = _KEY.findall(output)
    if code != 0 or not keys:
        raise WrongSignature(error or f"ssh-keygen ended with exit code {code}")
    return Signed(keys[-1], by)


def _keygen(arguments: Sequence[str], data: bytes) -> tuple[int | None, str, str]:
    """Run ssh-keygen on `data`; return its exit code, its output, and the last line of its errors."""
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        stdin.write(data)
        stdin.seek(0)
        try:
            code = run_program(
                ["ssh-keygen", *arguments],
                Deadline(_SECONDS),
                output=output,
                errors=errors,
                stdin=stdin,
                environment=inherited({"SSH_ASKPASS_REQUIRE": "never"}),
            )
        except OSError as error:
            raise Unverifiable.of_file(
                "PATH",
                error,
                what="ssh-keygen, which signs records and checks their signatures",
                expected="a program that starts",
                hint="apt-get install openssh-client",
            ) from None
        last = last_lines(errors, _MOST_BYTES).strip().splitlines()
        return code, last_lines(output, _MOST_BYTES), last[-1] if last else ""
