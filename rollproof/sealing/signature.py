"""SSH signatures, made and checked by ``ssh-keygen -Y``, which is on every machine that has git or ssh.

The key is a file, or with its public half alone (``.pub``) one of the agent. Nothing asks for a passphrase:
at night nobody would see the question.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Unverifiable, reason_of
from rollproof.profile.profile import Signing
from rollproof.system.command import Deadline, inherited, last_lines, run_program

NAMESPACE = "rollproof"
"""What the signatures are for: one made for something else is refused."""
_SECONDS = 10.0
_MOST_BYTES = 64 * 1024
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
_MAGIC = b"SSHSIG\0\0\0\1"
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds: its key's fingerprint, and who that is by `allowed_signers`, "" without it."""

    key: str
    by: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"signed by {self.by} with the key {self.key}" if self.by else f"signed with the key {self.key}"
        )


class WrongSignature(ValueError):
    """A signature that does not hold. Its text says why."""


def sign(data: bytes, signing: Signing) -> str:
    """Return the signature of `data`.

    Raises:
        Unverifiable: there is no ssh-keygen, or it cannot sign with that key.
    """
    _require_file(signing.key, "signing.key")
    code, signature, said = _keygen(["-Y", "sign", "-n", NAMESPACE, "-f", str(signing.key)], data)
    if code == 0 and signature.startswith(_BEGIN):
        return signature
    raise Unverifiable(
        what="signature of the record",
        expected="one by ssh-keygen",
        observed=f"no end within {_SECONDS:g} s" if code is None else said or f"exit code {code}",
        source=f"signing.key in the profile, {signing.key}",
        hint="a key without a passphrase, or its .pub and an agent: ssh-add KEY; try: "
        f"echo x | ssh-keygen -Y sign -n {NAMESPACE} -f {signing.key}",
    )


def check_signature(data: bytes, signature: str, signing: Signing) -> Signed:
    """Return whose signature of `data` this is.

    Raises:
        WrongSignature: it is none, is of other data, or of a key that `allowed_signers` does not name.
        Unverifiable: there is no ssh-keygen.
    """
    key = key_of(signature)
    _require_file(signing.allowed_signers, "signing.allowed_signers")
    with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        file = Path(folder) / "signature"
        file.write_text(signature, encoding="ascii")
        about = ["-n", NAMESPACE, "-s", str(file)]
        if signing.allowed_signers is None:
            code, _, said = _keygen(["-Y", "check-novalidate", *about], data)
            by = ""
        else:
            signers = ["-f", str(signing.allowed_signers)]
            _, found, said = _keygen(["-Y", "find-principals", "-s", str(file), *signers], b"")
            by = next(iter(found.splitlines()), "")
            if not by:
                raise WrongSignature(f"{key} is no key of {signing.allowed_signers}")
            code, _, said = _keygen(["-Y", "verify", "-I", by, *signers, *about], data)
    if code != 0:
        raise WrongSignature(f"it is not of this record: {said or f'exit code {code}'}")
    return Signed(key, by)


def _require_file(path: Path | None, source: str) -> None:
    """Refuse what ssh-keygen would wait for, or read without end."""
    if path is not None and path.exists() and not path.is_file():
        raise Unverifiable(
            what="file for ssh-keygen",
            expected="a regular file",
            observed="a folder" if path.is_dir() else "a pipe, a socket or a device",
            source=f"{source} in the profile, {path}",
            hint="name the file itself",
        )


def key_of(signature: str) -> str:
    """Return the fingerprint of the key that a signature names.

    Raises:
        WrongSignature: it is no signature, or is spelled otherwise than ssh-keygen does.
    """
    try:
        packed = base64.b64decode(
            signature.removeprefix(_BEGIN).removesuffix(_END).replace("\n", ""), validate=True
        )
        length = int.from_bytes(packed[len(_MAGIC) : len(_MAGIC) + _LENGTH])
    except (binascii.Error, ValueError):
        raise WrongSignature("it is no SSH signature") from None
    text = base64.b64encode(packed).decode()
    lines = "".join(f"{text[at : at + 70]}\n" for at in range(0, len(text), 70))
    if not packed.startswith(_MAGIC) or signature != f"{_BEGIN}{lines}{_END}":
        raise WrongSignature("it is no SSH signature")
    public = packed[len(_MAGIC) + _LENGTH :][:length]
    return f"SHA256:{base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip('=')}"


def _keygen(arguments: Sequence[str], data: bytes) -> tuple[int | None, str, str]:
    """Run ssh-keygen on `data`; return its exit code, its output, and the last line of its errors."""
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        given.write(data)
        given.seek(0)
        try:
            code = run_program(
                ["ssh-keygen", *arguments],
                Deadline(_SECONDS),
                output=output,
                errors=errors,
                stdin=given,
                environment=inherited({"SSH_ASKPASS_REQUIRE": "never"}),
                with_us=True,
            )
        except OSError as error:
            raise Unverifiable(
                what="ssh-keygen, which signs records and checks their signatures",
                expected="a program that starts",
                observed=reason_of(error),
                source="PATH",
                hint="apt-get install openssh-client",
            ) from None
        said = last_lines(errors, _MOST_BYTES).strip().splitlines()
        return code, last_lines(output, _MOST_BYTES), said[-1] if said else ""
