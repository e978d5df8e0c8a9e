"""Check the bundle of an incident against its seal: python verify_record.py BUNDLE [SIGNERS].

It needs Python 3.11 or newer, and ssh-keygen for a signature. Exit 0: all of it holds. 1: something does
not. 3: what is sealed holds, and something is not sealed, or was not checked. 4: the arguments are wrong.
Who signed it is named, and must be in the file SIGNERS, if any: see ALLOWED SIGNERS in ssh-keygen(1).
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

SEAL, SIGNATURE, CHECKER = "seal.json", "seal.json.sig", "verify_record.py"
# Kept to be given back to users, and under no seal.
KEPT_ASIDE = "lost-window"
READ = {SEAL, SIGNATURE, "incident.json", "verdict.json"}

# Anybody may have made the bundle: what is read as JSON is bounded, and so is the memory of this program.
MIB = 1024**2
LARGEST_READ, MEMORY = 8 * MIB, 512 * MIB
SECONDS, SHOWN = 10, 10


@dataclass
class Checked:
    """What was found: `wrong` does not hold, `unsealed` is not sealed or not checked, `facts` is known."""

    incident: str = ""
    target: str = ""
    files: int = 0
    size: int = 0
    wrong: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code: 0, 1 or 3, as at the top of this file."""
        return 1 if self.wrong else 3 if self.unsealed else 0

    def lines(self) -> list[str]:
        """Return what was found in lines, the wrong first, of ASCII alone: the bundle chose its names."""
        found = []
        for title, texts in (
            ("WRONG: ", self.wrong),
            ("", self.facts),
            ("not sealed or not checked: ", self.unsealed),
        ):
            more = [f"{len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
            found += [f"{title}{text}" for text in [*texts[:SHOWN], *more]]
        found.append(
            {
                0: "all of it holds",
                1: "it does not hold",
                3: "what is sealed holds; nobody vouches for what is not sealed or was not checked",
            }[self.code]
        )
        return [line.encode("ascii", "backslashreplace").decode() for line in found]


def shown(text: object) -> str:
    """Return a text that whoever made the bundle chose, short and without control characters."""
    return f"{text!a:.80}"


# The files of the bundle


class BundleFiles:
    """The files of a bundle: the SHA-256 of each, and the bytes of those that are read. None is written.

    `incident` is the folder that holds them all, `size` their bytes.
    """

    def __init__(self, path: Path) -> None:
        self.incident = ""
        self.size = 0
        self.hashes: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                self.add(member, archive.extractfile(member))
            while packed.read(MIB):
                pass  # its end has the checksum of all of it
        if not self.hashes:
            raise ValueError("it has no files")

    def add(self, member: tarfile.TarInfo, stream: IO[bytes] | None) -> None:
        """Hash a file, and keep it if it is read."""
        incident, _, name = member.name.partition("/")
        self.incident = self.incident or incident
        plain = member.name.isprintable() and not {"", ".", ".."} & {*member.name.split("/")}
        if not plain or "\\" in name or incident != self.incident:
            raise ValueError(f"{shown(member.name)} is a name that no file of a record has")
        if stream is None or not member.isreg():
            raise ValueError(f"{shown(member.name)} is no plain file")
        if name in self.hashes:
            raise ValueError(f"{shown(name)} is there twice")
        wanted = name in READ and member.size <= LARGEST_READ
        digest, data = sha256(), b""
        while part := stream.read(MIB):
            digest.update(part)
            data += part if wanted else b""
        self.hashes[name] = digest.hexdigest()
        self.files |= {name: data} if wanted else {}
        self.size += member.size

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, none if it is not there."""
        if name in self.hashes and name not in self.files:
            raise ValueError(f"{shown(name)} is too large to be read")
        return self.files.get(name, b"")

    def json(self, name: str) -> Any:
        """Return what a file holds, None if it is not there."""
        return json.loads(self.read(name)) if name in self.hashes else None


# The seal


def check_seal(record: BundleFiles, found: Checked, signers: Path | None) -> Iterator[str]:
    """Yield what does not hold in the seal and its signature; note in `found` what is unsealed and known."""
    if record.hashes.get(CHECKER) != sha256(Path(__file__).read_bytes()).hexdigest():
        found.unsealed.append(f"{CHECKER} in it, which is another one than this")
    there = {name: sha for name, sha in record.hashes.items() if name not in {SEAL, SIGNATURE, CHECKER}}
    seal = record.json(SEAL)
    if seal is None:
        found.unsealed.append("the whole record: it has no seal")
        sealed = there
    else:
        sealed = seal["files"]
        if (seal["incident"], seal["version"]) != (found.incident, 1):
            yield f"the seal is of incident {shown(seal['incident'])}, version {shown(seal['version'])}"
    for name in sorted(there.keys() | sealed.keys()):
        if name not in sealed and name.startswith(KEPT_ASIDE):
            found.unsealed.append(f"{shown(name)}, which was kept to be given back")
        elif name not in sealed:
            yield f"{shown(name)} was added after it was sealed"
        elif name not in there:
            yield f"{shown(name)} is missing, and was sealed"
        elif sealed[name] != there[name]:
            yield f"{shown(name)} is not what was sealed"
    yield from check_signature(record, found, signers)


def check_signature(record: BundleFiles, found: Checked, signers: Path | None) -> Iterator[str]:
    """Yield what does not hold in the signature; without `signers` anybody may have signed."""
    signature = record.read(SIGNATURE).decode("ascii")
    claimed = (record.json("verdict.json") or {}).get("signature", "unsigned")
    if not signature:
        found.facts.append("signature: unsigned")
        if signers is not None:
            yield "nobody has signed it"
        elif claimed != "unsigned":
            yield f"its signature was taken away: verdict.json names the key {shown(claimed)}"
        return
    try:
        who = signed_by(record.read(SEAL), signature, signers)
    except (OSError, subprocess.TimeoutExpired) as error:
        (found.unsealed if signers is None else found.wrong).append(
            f"its signature cannot be checked: {error}"
        )
        return
    found.facts.append(f"signature: {who}")
    if claimed not in {"unsigned", who.split()[-1]}:
        found.unsealed.append(f"who signed it: verdict.json names another key, {shown(claimed)}")


def signed_by(data: bytes, signature: str, signers: Path | None) -> str:
    """Return what ssh-keygen says of a signature that holds: its last word is the key."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(signature)
        file.flush()
        if signers is None:
            return ssh_keygen(["check-novalidate", "-n", "rollproof", "-s", file.name], data)
        known = ["-f", str(signers), "-s", file.name]
        name = ssh_keygen(["find-principals", *known], b"").splitlines()[0]
        return ssh_keygen(["verify", "-I", name, "-n", "rollproof", *known], data)


def ssh_keygen(arguments: list[str], data: bytes) -> str:
    """Return what ssh-keygen says; raise if it does not accept the signature."""
    command = ["ssh-keygen", "-Y", *arguments]
    ran = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
    if ran.returncode:
        raise ValueError(f"its signature does not hold: {shown(ran.stderr.decode(errors='replace').strip())}")
    return ran.stdout.decode(errors="replace").strip()


# What it is of


def check_facts(record: BundleFiles, found: Checked) -> Iterator[str]:
    """Yield what contradicts the seal in the verdict, which `rollproof report` derives again."""
    incident, verdict = record.json("incident.json"), record.json("verdict.json") or {}
    found.target = str(incident["target"])
    found.facts.append(f"verdict, as recorded: {shown(verdict.get('verdict', 'none'))}")
    if verdict and verdict["incident"] != found.incident:
        yield f"verdict.json is of incident {shown(verdict['incident'])}"


def check(path: Path, signers: Path | None = None) -> Checked:
    """Check the bundle at `path`; one of `signers` must have signed it, if they are named."""
    found = Checked()
    try:
        record = BundleFiles(path)
    except Exception as error:  # noqa: BLE001 - data of any shape, made by anybody
        found.wrong.append(f"no bundle: {type(error).__name__}: {str(error)!a:.200}")
        return found
    found.incident, found.files, found.size = record.incident, len(record.hashes), record.size
    for part in (check_seal(record, found, signers), check_facts(record, found)):
        try:
            found.wrong.extend(part)
        except Exception as error:  # noqa: BLE001 - as above
            found.wrong.append(f"{type(error).__name__}: {str(error)!a:.200}")
    return found


def main(arguments: list[str]) -> int:
    """Check as the command line says, and print what was found."""
    if len(arguments) not in {1, 2} or not Path(arguments[0]).is_file():
        print(__doc__)
        return 4
    found = check(*map(Path, arguments))
    print("\n".join(found.lines()))
    return found.code


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    sys.exit(main(sys.argv[1:]))
