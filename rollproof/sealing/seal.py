"""The seal of a record and its signature: `seal.json` has the SHA-256 of each file, `seal.json.sig` signs it.

Each command that ends in an incident writes the seal again. What was signed once is sealed again with a key
alone. What a command has written since the last seal is *not sealed*: files that are new, lines added to a
file of lines, and, if there are such signs of a command, other files written again. Anything else that
differs is *wrong*, and nothing of a wrong record is sealed as it is. Pages (`_PAGES`) are the exception for
runs of checks: a run makes them again from the rest, and so passes although one was altered.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import SecretStr

from rollproof import record_names as names
from rollproof.errors import ActionFailed, Problem, Unverifiable, listed, reason_of
from rollproof.home import typed
from rollproof.profile.profile import Signing
from rollproof.reading import is_torn, read_regular
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline, run_command
from rollproof.system.files import canonical_json, rename_whole, sha256_of, write_whole
from rollproof.system.holder import locked_within
from rollproof.system.record_files import Must, WrongRecord, as_json, parse_record

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


UNSIGNED = "unsigned"
ANYBODY = Signing()
"""Where no profile says who signs."""
CHECKER = "verify_record.py"
"""The checker, next to the files of a bundle that was unpacked."""
# Made again from the rest by every run and by `rollproof report`.
_PAGES = (names.VERDICT, names.GATE_PAGE, names.POST_MORTEM, names.REPORT, f"{names.PICTURES}/")
# Never written again; those of lines grow.
_KEPT = (names.INCIDENT, f"{names.LEDGER}/", names.LOST_WINDOW)
CHAINED = (names.JOURNAL, names.RESPONSE, names.CONTACTS, names.REOPENING)
# New files that a command begins with; a new file of lines is another sign of one.
_BEGINNINGS = (names.SUPERSEDED, names.RUN_FACTS)
# Written before it becomes the seal: a kill may come between the signature and the seal.
_NEXT = f".{names.SEAL}"
_LOCK_SECONDS = 10.0

Sha256 = Annotated[str, Must("a SHA-256 in hexadecimal", re.compile(r"[0-9a-f]{64}").fullmatch)]


@dataclass(frozen=True, slots=True)
class Seal:
    """`seal.json`: the SHA-256 of each file of the incident's record, by its path below the folder.

    `by` is the command that wrote it.
    """

    incident: str
    at: Moment
    by: str
    files: Mapping[str, Sha256]
    version: Annotated[int, Must("version 1", (1).__eq__)] = 1


@dataclass(frozen=True, slots=True)
class SealState:
    """A record compared with its seal.

    `wrong` are the files that do not hold, each with the reason. `unsealed` are those written since the seal,
    or all without one. `signature` says in words who has signed it, and `signed` whether anybody has.
    """

    wrong: Mapping[str, str]
    unsealed: tuple[str, ...]
    signature: str
    signed: bool
    sealed: bool

    @property
    def doubts(self) -> list[str]:
        """What does not hold, in sentences."""
        return [f"{name}: {why}" for name, why in self.wrong.items()]

    @property
    def evidence(self) -> list[str]:
        """What does not hold, in sentences, without the pages: they are made again from the rest."""
        return [f"{name}: {why}" for name, why in self.wrong.items() if not _is_page(name)]

    def __str__(self) -> str:
        """Return in a line how it is sealed and signed."""
        if not self.sealed:
            return f"not sealed, {self.signature}"
        unsealed = f"not sealed: {listed(self.unsealed, 5)}" if self.unsealed else "sealed"
        return f"{unsealed}; {self.signature}"


def seal_state(folder: Path, signing: Signing = ANYBODY) -> SealState:
    """Compare the whole record in `folder` with its seal, and check the seal's signature."""
    there = dict(record_files(folder))
    wrong = {name: "it is a link" for name, path in there.items() if path.is_symlink()}
    data, seal = b"", None
    try:
        data, seal = _read_seal(folder)
    except (OSError, WrongRecord) as error:
        wrong[names.SEAL] = f"it cannot be read: {reason_of(error) if isinstance(error, OSError) else error}"
    signed, signature = _signature_of(folder, data, signing, wrong, verified=names.VERDICT in there)
    sealed = seal.files if seal is not None else {}
    unsealed = there.keys() - sealed.keys()
    changed = {name: why for name, sha in sealed.items() if (why := _change(there.get(name), sha))}
    grown = {name for name in changed if _grows(name) and _has_grown(folder / name, sealed[name])}
    begun = bool(grown) or any(_grows(name) or name.endswith(_BEGINNINGS) for name in unsealed)
    for name, why in changed.items():
        removed = name == names.DOWNTIME and name not in there
        if name in grown or name == names.POST_MORTEM or (begun and not _is_kept(name) and not removed):
            unsealed.add(name)
        else:
            wrong.setdefault(name, why)
    return SealState(wrong, tuple(sorted(unsealed)), signature, signed, seal is not None)


def record_files(folder: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each file, and each link, that belongs under the seal, sorted."""
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{below}{path.name}"
        # Users' data, kept to be given back.
        kept_aside = name.startswith(names.LOST_WINDOW) and path.name != names.ACCOUNTS
        if path.name.startswith(".") or name in {names.SEAL, names.SIGNATURE, CHECKER}:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from record_files(path, f"{name}/")
        elif not kept_aside and (path.is_file() or path.is_symlink()):
            yield name, path


def _is_page(name: str) -> bool:
    return name.startswith(_PAGES) or name == f"{names.RESULTS}/{names.ENVIRONMENT_FILE}"


def _is_kept(name: str) -> bool:
    return name.startswith(_KEPT) or name in CHAINED


def _grows(name: str) -> bool:
    return name.endswith(".jsonl")


def _read_seal(folder: Path) -> tuple[bytes, Seal | None]:
    try:
        data = read_regular(folder / names.SEAL)
    except FileNotFoundError:
        return b"", None
    return data, parse_record(Seal, data)


def _change(path: Path | None, sha: str) -> str:
    """Return how a file differs from what was sealed, "" if it does not."""
    if path is None:
        return "it is missing, and was sealed"
    try:
        return "" if not path.is_symlink() and sha256_of(path) == sha else "it is not what was sealed"
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"


def _has_grown(path: Path, sha: str) -> bool:
    """Return whether a file of lines begins with what was sealed."""
    so_far = hashlib.sha256()
    with suppress(OSError):
        for line in io.BytesIO(read_regular(path)):
            so_far.update(line)
            if so_far.hexdigest() == sha:
                return True
    return False


def _signature_of(
    folder: Path, data: bytes, signing: Signing, wrong: dict[str, str], *, verified: bool
) -> tuple[bool, str]:
    """Return whether anybody has signed the seal, and who, in words; add to `wrong` what does not hold.

    `verified` tells that there is a verdict: from then on those who have to sign must have.
    """
    path, required = folder / names.SIGNATURE, signing.allowed_signers is not None
    try:
        found = check_signature(data, read_regular(path).decode("ascii"), signing)
    except FileNotFoundError:
        if required and (data or verified):
            wrong[names.SIGNATURE] = "nobody has signed it, and signing.allowed_signers says who has to"
        return False, UNSIGNED
    except (WrongSignature, UnicodeDecodeError) as error:
        wrong[names.SIGNATURE] = f"the signature does not hold: {error}"
        return True, f"{UNSIGNED}: the signature does not hold"
    except (OSError, Problem) as error:
        reason = error.summary if isinstance(error, Problem) else reason_of(error)
        if required:
            wrong[names.SIGNATURE] = f"it cannot be checked: {reason}"
        return True, f"signed, and the signature cannot be checked: {reason}"
    return True, str(found)


def promised(signing: Signing) -> tuple[str, Problem | None]:
    """Return the fingerprint of the key that will sign, or `UNSIGNED` and why, if a key is configured.

    A page is written before the seal, so a signature is tried first.
    """
    if signing.key is None:
        return UNSIGNED, None
    try:
        return check_signature(b"tried\n", sign(b"tried\n", signing), Signing()).key, None
    except Problem as problem:
        return UNSIGNED, problem


class Sealing:
    """Seals one record at the end of what this process does to it."""

    def __init__(self, folder: Path, signing: Signing) -> None:
        """Compare the record with its seal before this process writes anything."""
        self.folder = folder
        self._signing = signing
        self._finish_a_killed_one()
        self.before = seal_state(folder, signing)

    def seal(self, by: str, only: Callable[[str], bool] = lambda _: True) -> None:
        """Write the seal of all files, or renew `only` the hashes of some names.

        A file that did not hold keeps the hash that it had.
        """
        doubts = self.before.evidence
        if not self.before.sealed and self.before.wrong.keys() == {names.SIGNATURE}:
            # The first seal could not be signed when there was a verdict: this one may be.
            doubts = []
        try:
            if not doubts or not self.before.wrong.keys() & {names.SEAL, names.SIGNATURE}:
                with _locked(self.folder):
                    self._write(by, only)
        except (OSError, WrongRecord) as error:
            raise ActionFailed.of_file(
                self.folder / names.SEAL,
                error,
                what="seal of the record",
                expected=f"{names.SEAL} written",
                hint=f"make room there, or correct the permissions; then seal it: {typed('report FOLDER')}",
            ) from None
        if doubts:
            raise Unverifiable(
                what="record of the incident",
                expected="as it was sealed",
                observed=listed(doubts, 3),
                source=str(self.folder),
                hint="put those files back from a copy, or begin another incident",
            )

    def _write(self, by: str, only: Callable[[str], bool]) -> None:
        _, old = _read_seal(self.folder)
        files = self._hashes(old.files if old is not None else {}, only)
        signed = (self.folder / names.SIGNATURE).exists()
        if old is not None and files == old.files and (signed or self._signing.key is None):
            return
        text = canonical_json(as_json(Seal(self.folder.name, Moment.now(), by, files)))
        if self._signing.key is None:
            if signed or self._signing.allowed_signers is not None:
                raise Unverifiable(
                    what="seal of the record",
                    expected="the key that signs it",
                    observed="none: what is new is not sealed",
                    source=str(self.folder / names.SEAL),
                    hint=f"name the profile that has it: {typed(f'report {self.folder.name} --target=…')}",
                )
            write_whole(self.folder / names.SEAL, text)
            return
        signature = sign(text, self._signing)
        write_whole(self.folder / _NEXT, text)
        write_whole(self.folder / names.SIGNATURE, signature.encode())
        rename_whole(self.folder / _NEXT, self.folder / names.SEAL)

    def _hashes(self, before: Mapping[str, str], only: Callable[[str], bool]) -> dict[str, str]:
        """Return the hashes to seal: what is wrong, written once or not asked for keeps its hash."""
        kept = {
            name: sha
            for name, sha in before.items()
            if (name in self.before.wrong and not _is_page(name))
            or (_is_kept(name) and not _grows(name))
            or not only(name)
        }
        files = dict(kept)
        for name, path in record_files(self.folder):
            if name in kept or not only(name) or path.is_symlink():
                continue
            # The next writer cuts off what a kill left of a line.
            if not (_grows(name) and is_torn(path)):
                files[name] = sha256_of(path)
            elif name in before:
                files[name] = before[name]
        return files

    def _finish_a_killed_one(self) -> None:
        """Put the new seal in its place if a kill came after its signature."""
        with suppress(OSError, Problem, ValueError):
            signature = read_regular(self.folder / names.SIGNATURE).decode("ascii")
            check_signature(read_regular(self.folder / _NEXT), signature, self._signing)
            rename_whole(self.folder / _NEXT, self.folder / names.SEAL)


@contextmanager
def sealed(
    folder: Path,
    signing: Signing,
    by: str,
    say: Callable[[str], object],
    only: Callable[[str], bool] = lambda _: True,
) -> Iterator[list[str]]:
    """Seal the record after the body, however it ends; a seal that cannot be written is only reported.

    Yield what did not hold of the record before, in sentences.
    """
    sealing = Sealing(folder, signing)
    try:
        yield sealing.before.evidence
    finally:
        try:
            sealing.seal(by, only)
        except Problem as problem:
            say(str(problem))


def seal_text_of_people(folder: Path, signing: Signing) -> None:
    """Seal the post-mortem as people have completed it, if the record is sealed; raises as `Sealing.seal`."""
    sealing = Sealing(folder, signing)
    if sealing.before.sealed and names.POST_MORTEM in sealing.before.unsealed:
        sealing.seal("the post-mortem, as people completed it", names.POST_MORTEM.__eq__)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from sealing the same record meanwhile; raises `OSError` after a while."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locked_within(descriptor, fcntl.LOCK_EX, _LOCK_SECONDS):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        yield
    finally:
        os.close(descriptor)
