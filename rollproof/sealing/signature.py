"""SSH signatures, made and checked by ``ssh-keygen -Y``, which is on every machine that has git or ssh.

The key is a file, or with its public half alone (``.pub``) one of the agent. Nothing asks for a passphrase:
at night nobody would see the question.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.profile.profile import Signing
from rollproof.system.command import Deadline, run_command

NAMESPACE = "rollproof"
"""What the signatures are for: one made for something else is refused."""
_SECONDS = 10.0
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
    try:
        return _keygen(["-Y", "sign", "-n", NAMESPACE, "-f", str(signing.key)], data)
    except ActionFailed as failed:
        raise Unverifiable(
            what="signature of the record",
            expected="one by ssh-keygen",
            observed=failed.observed,
            source=f"signing.key in the profile, {signing.key}",
            hint="a key without a passphrase, or its .pub and an agent: ssh-add KEY; try: "
            f"echo x | ssh-keygen -Y sign -n {NAMESPACE} -f {signing.key}",
        ) from None


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
        try:
            if signing.allowed_signers is None:
                output = _keygen(["-Y", "check-novalidate", *of], data)
            else:
                by = _keygen(["-Y", "find-principals", "-s", file.name, *signers], b"").partition("\n")[0]
                output = _keygen(["-Y", "verify", "-I", by, *signers, *of], data)
        except ActionFailed as failed:
            raise WrongSignature(str(failed.observed)) from None
    return Signed(_KEY.findall(output)[-1], by)


def _keygen(arguments: Sequence[str], data: bytes) -> str:
    """Run ssh-keygen on `data`; return its output."""
    with tempfile.NamedTemporaryFile(prefix="rollproof-") as file:
        file.write(data)
        file.flush()
        return run_command(
            ["ssh-keygen", *arguments],
            what="ssh-keygen, which signs records and checks their signatures",
            deadline=Deadline(_SECONDS),
            stdin=Path(file.name),
            environment={"SSH_ASKPASS_REQUIRE": SecretStr("never")},
        )
