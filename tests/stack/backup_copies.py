"""A copy of the backups' folder, whose set tests may damage, and step 1 run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.backups.sets import MANIFEST
from rollproof.stores import package
from rollproof.system.files import sha256_of
from rollproof.system.record_files import sealed_json
from tests.run_outcome import Outcome
from tests.stack.verifier import Verifier

STORES = ("mysql", "mongodb", "redis", "qdrant", "milvus", "minio", "kafka")
RESTORES = "test_backup_restores"
WITHOUT_RESTORE = ("-k", f"not {RESTORES}")
Record = dict[str, Any]


def of(check: str, store: str) -> str:
    return f"{check}[{store}]"


@dataclass
class Backups:
    """The copy, and what faults put into a run: `variables`; what they undo at its end is in `undo`."""

    verifier: Verifier
    migration: str
    folder: Path
    undo: ExitStack
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def set(self) -> Path:
        """The folder of the set."""
        (manifest,) = self.folder.glob(f"*/{MANIFEST}")
        return manifest.parent

    def run(self, *options: str) -> Outcome:
        """Run step 1 on this copy, without restoring it."""
        variables = {"FOLDERS__BACKUPS": str(self.folder), **self.variables}
        given = (f"--migration={self.migration}", *WITHOUT_RESTORE, *options)
        return self.verifier.run("step1", *given, **variables)

    def reseal(self, change: Callable[[Record], object]) -> None:
        """Have the set say something else, as if it had been written so."""
        manifest = json.loads((self.set / MANIFEST).read_text())
        change(manifest)
        (self.set / MANIFEST).write_bytes(sealed_json(manifest))

    def repack(self, store: str, change: Callable[[Record], object], *, seal: bool = True) -> None:
        """Have the backup of a store say something else; without `seal` the set does not know of it."""
        path = self.set / store / package.MANIFEST
        content = json.loads(path.read_text())
        change(content)
        path.write_bytes(sealed_json(content))
        if seal:
            self.reseal(lambda manifest: manifest["sealed"].update({store: sha256_of(path)}))

    def file(self, store: str, suffix: str) -> Path:
        """Return the largest data file of a store with that suffix."""
        found = [path for path in (self.set / store).rglob("*") if path.is_file() and path.suffix == suffix]
        return max((p for p in found if p.name != package.MANIFEST), key=lambda path: path.stat().st_size)


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


def cut(path: Path, left: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(left)
