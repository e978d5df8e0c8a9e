"""A record that is sealed and signed, as a run of checks leaves it, and edits of its bundle."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from reports.bundle.bundle import write_bundle
from reports.incident.record import read_incident_record
from reports.postmortem.postmortem import story_of, write_post_mortem
from reports.verdict.verdict import read_verdict, recounted, write_verdict
from rollproof.errors import ExitCode
from rollproof.incident.incident import Incident, load_incident
from rollproof.incident.tally import tally
from rollproof.profile.profile import Signing, load_target
from rollproof.record_names import SEAL, SIGNATURE
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.seal import CHECKER, Sealing, promised
from tests.conftest import write_profile
from tests.unit.clock import MADE, Clock, stopped
from tests.unit.made_incident import MadeIncident

IDENTITY = "one"


def whole_incident(
    folder: Path, checks: ExitCode = ExitCode.VERIFIED, *, rto_seconds: float = 600
) -> Incident:
    """Make an incident below `folder` that was responded to, with its verdict; it has no seal."""
    with stopped(Clock(MADE)) as clock:
        target = load_target(write_profile(folder)).model_copy(update={"rto_seconds": rto_seconds})
        made = MadeIncident(target, clock, IDENTITY, checks=checks)
        made.respond()
        made.incident.close()
        write_verdict(made.folder, tally(made.incident, target.windows))
    return made.incident


def _add_results(folder: Path) -> None:
    """Write Allure's result of each check of the ledger."""
    results = folder / "allure-results"
    results.mkdir()
    for line in (folder / "ledger/0001/results.jsonl").read_text().splitlines():
        one = json.loads(line)
        labels = [{"name": "nodeId", "value": one["check"]}]
        name = hashlib.md5(one["check"].encode(), usedforsecurity=False).hexdigest()
        result = {"labels": labels, "start": 1, "status": one["verdict"]}
        (results / f"{name}-result.json").write_text(json.dumps(result))


@dataclass
class SealedRecord:
    """An incident of four phases that was rolled back, verified, sealed; signed, if there is a key."""

    incident: Incident
    signing: Signing

    @classmethod
    def of(
        cls,
        folder: Path,
        signing: Signing,
        checks: ExitCode = ExitCode.VERIFIED,
        *,
        rto_seconds: float = 600,
    ) -> SealedRecord:
        """Make one below `folder`; `checks` is how its checks ended."""
        record = cls(whole_incident(folder, checks, rto_seconds=rto_seconds), signing)
        _add_results(record.folder)
        (record.folder / "pictures").mkdir()
        (record.folder / "pictures/timeline.svg").write_text("<svg>\n<text>a timeline</text>\n</svg>\n")
        record.seal("checks, run 1")
        return record

    def copied(self, folder: Path) -> SealedRecord:
        """Return a copy of it below `folder`, of the same key."""
        copy = shutil.copytree(self.folder, folder / self.folder.name)
        return SealedRecord(load_incident(Path(copy)), self.signing)

    @property
    def folder(self) -> Path:
        return self.incident.folder

    def seal(self, by: str) -> None:
        """Write the pages and seal it, as at the end of a run of checks."""
        sealing = Sealing(self.folder, self.signing)
        verdict = read_verdict(self.folder)
        write_verdict(self.folder, replace(verdict, signature=promised(self.signing)[0]))
        record = read_incident_record(self.folder, self.signing)
        write_post_mortem(self.folder, story_of(record, recounted(record)), Redactor().text)
        sealing.seal(by)

    @cached_property
    def bundle(self) -> Path:
        """Its bundle."""
        return write_bundle(
            self.incident, self.folder.with_suffix(".tar.gz"), Redactor(), signing=self.signing
        ).path


def unpacked(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle, by their names in it."""
    found = {}
    with tarfile.open(bundle) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name.removeprefix(f"{IDENTITY}/")] = stream.read()
    return found


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return the bundle that a forger makes of `files`: every byte around them is as it has to be."""
    return packed_members(
        *(header_of(f"{IDENTITY}/{name}", len(text)) + padded(text) for name, text in files.items())
    )


def header_of(name: str, size: int) -> bytes:
    """Return the header that a bundle has for a file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def padded(text: bytes) -> bytes:
    """Return the content of a file as it is in an archive."""
    return text + bytes(-len(text) % tarfile.BLOCKSIZE)


def packed_members(*members: bytes) -> bytes:
    """Return a packed archive of these headers and contents, with its end."""
    tar = b"".join(members)
    end = bytes(2 * tarfile.BLOCKSIZE + -(len(tar) + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)
    raw = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
        stream.write(tar + end)
    return raw.getvalue()


def sealed_again(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a bundle with a seal of their hashes, as a forger without the key makes it."""
    seal = json.loads(files[SEAL])
    seal["files"] = {
        name: hashlib.sha256(text).hexdigest()
        for name, text in files.items()
        if name not in {SEAL, SIGNATURE, CHECKER}
    }
    return {**files, SEAL: json.dumps(seal).encode()}


def edits(bundle: Path, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` bundles, and what a forger edited in each: one byte or one line of a file in it."""
    chance = random.Random(seed)  # noqa: S311 - nothing of it is a secret
    files = unpacked(bundle)
    names = [name for name, text in files.items() if text and name != CHECKER]
    for _ in range(count):
        name = chance.choice(names)
        data, lines = files[name], files[name].splitlines(keepends=True)
        at, line = chance.randrange(len(data)), chance.randrange(len(lines))
        edited = {
            f"byte {at} replaced": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
            f"byte {at} removed": data[:at] + data[at + 1 :],
            f"line {line} removed": b"".join(lines[:line] + lines[line + 1 :]),
        }
        what = chance.choice([*edited])
        yield f"{name}: {what}", packed({**files, name: edited[what]})
