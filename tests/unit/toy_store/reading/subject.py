"""A folder for the contract of readers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.stack.reading.subject import Act, Change, Given, Sizes, Subject, Way
from tests.unit.toy_store.made_up import STORE, profile_of, put

NAMES = tuple(f"{number:02}.txt" for number in range(40))
OTHERS = ("Ä ö.bin", "no content", "{a}'\"\n\t*?")


def _on(act: Callable[[Path], object], **seen: set[str] | None) -> Change:
    """Return a change below `full`; of each file, by its number or "late", it names the fields."""
    keys = {f"{name.removeprefix('f')}.txt": fields for name, fields in seen.items()}
    return lambda subject: act(subject.path), keys


def _swapped(path: Path) -> None:
    put(path / "07.txt", b"content of 8")
    put(path / "08.txt", b"content of 7")


def _rewritten(subject: Folder) -> None:
    for name in NAMES[::-1]:
        content = (subject.path / name).read_bytes()
        (subject.path / name).unlink()
        put(subject.path / name, content)


class Folder(Subject):
    """Files of one folder."""

    store = STORE
    changes: ClassVar[Mapping[str, Change]] = {
        "lost": _on(lambda path: (path / "07.txt").unlink(), f07=None),
        "added": _on(lambda path: put(path / "late.txt", b"late"), late=None),
        "renamed": _on(lambda path: (path / "07.txt").rename(path / "late.txt"), f07=None, late=None),
        "a byte": _on(lambda path: put(path / "07.txt", b"content of 08"), f07={"content"}),
        "swapped": _on(_swapped, f07={"content"}, f08={"content"}),
        "emptied": _on(lambda path: put(path / "07.txt", b""), f07={"content"}),
        "permissions": _on(lambda path: (path / "07.txt").chmod(0o600), f07={"permissions"}),
    }
    equals: ClassVar[Mapping[str, Act]] = {"written in another order": _rewritten}
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "permissions of a folder": lambda subject: (subject.folder / "defined").chmod(0o700),
        "a folder more": lambda subject: (subject.folder / "defined too").mkdir(),
        "a folder gone": lambda subject: (subject.folder / "defined").rmdir(),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {"names": "least"}
    # What a folder has instead of a secret is that it is there.
    ways: ClassVar[Mapping[Way, str]] = {"wrong secret": "No such file or directory"}
    gone = "expected folder absent"
    excluded = ("permissions",)
    hidden, shown = "permissions", "a byte"
    server = "folder "

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.folder = given.folder / "store"
        self.profile = profile_of(self.folder)
        self.full = self.many = "full"
        self.empty, self.absent = "empty", "absent"
        self.keys = frozenset({*NAMES, *OTHERS})
        self.counts = {"empty": 0, "full": len(self.keys), "shape": 0}
        self.asked = ("full", len(self.keys))
        self.nothing = ({"folder": given.folder / "nothing"}, "expected a collection")

    @property
    def path(self) -> Path:
        """The folder of `full`."""
        return self.folder / self.full

    def fill(self) -> None:
        for name in self.counts:
            (self.folder / name).mkdir(parents=True)
        (self.given.folder / "nothing").mkdir()
        self.mend()

    def mend(self) -> None:
        for path in (*self.path.iterdir(), *(self.folder / "shape").iterdir()):
            path.unlink()
        for number, name in enumerate(NAMES):
            put(self.path / name, f"content of {number}".encode())
        for name in OTHERS:
            put(self.path / name, name.encode() * 1000 if name != "no content" else b"")

    def clear(self) -> None:
        shutil.rmtree(self.given.folder)

    def shaped(self, shape: str) -> str:
        folder = self.folder / "shape"
        shutil.rmtree(folder)
        folder.mkdir()
        for number in range(100):
            put(folder / f"name {number:03}", b"")
        return folder.name

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        for name in ("a name before", "zz after"):
            put(self.folder / "shape" / name, b"")
        (self.folder / "shape" / "name 050").unlink()
        return {"a name before"}, {"zz after"}

    def define(self) -> None:
        (self.folder / "defined").mkdir(mode=0o755)

    def undefine(self) -> None:
        for name in ("defined", "defined too"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def refused(self) -> Mapping[str, Any]:
        return {"folder": self.given.folder / "nowhere"}
