"""Mounts of the application for the contract of readers: volumes of a service that does not run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, ClassVar

from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from tests.stack.mounted_project import STORE, empty, mounted_project, put
from tests.stack.stores.reading.subject import Act, Change, Given, Sizes, Subject, Way

NAMES = tuple(f"{number:02}.txt" for number in range(40))
ROWS = "base.db#t"
OTHERS = ("Ä ö.bin", "no content", "{a}'\"\n\t*?", "folder", "folder/inside", "link", "same")
VOLUMES = ("defined", "empty", "full", "shape")


def _on(act: Callable[[Path], object], **seen: set[str] | None) -> Change:
    """Return a change below `full`; of each file, by its number or "late", it names the fields."""
    keys = {f"{name.removeprefix('f')}.txt": fields for name, fields in seen.items()}
    return lambda subject: act(subject.path), keys


def _swapped(path: Path) -> None:
    put(path / "07.txt", b"content of 8")
    put(path / "08.txt", b"content of 7")


def _a_link(path: Path) -> None:
    (path / "07.txt").unlink()
    (path / "07.txt").symlink_to("08.txt")


def _rewritten(subject: Mounts) -> None:
    for name in NAMES[::-1]:
        content = (subject.path / name).read_bytes()
        (subject.path / name).unlink()
        put(subject.path / name, content)


def _execute(subject: Mounts, *statements: str) -> None:
    with closing(sqlite3.connect(subject.path / "base.db", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


class Mounts(Subject):
    """Four volumes, of which `full` has every kind of file."""

    store = STORE
    changes: Mapping[str, Change] = {
        "lost": _on(lambda path: (path / "07.txt").unlink(), f07=None),
        "added": _on(lambda path: put(path / "late.txt", b"late"), late=None),
        "renamed": _on(lambda path: (path / "07.txt").rename(path / "late.txt"), f07=None, late=None),
        "a byte": _on(lambda path: put(path / "07.txt", b"content of 08"), f07={"content"}),
        "swapped": _on(_swapped, f07={"content"}, f08={"content"}),
        "file emptied": _on(lambda path: put(path / "07.txt", b""), f07={"content"}),
        "permissions": _on(lambda path: (path / "07.txt").chmod(0o600), f07={"permissions"}),
        "owner": _on(lambda path: os.chown(path / "07.txt", 7, 7), f07={"owner"}),
        "a row of SQLite": (
            lambda subject: _execute(subject, "UPDATE t SET x = 'y' WHERE id = 2"),
            {f"{ROWS} 2": {"x"}},
        ),
        "a row of SQLite lost": (
            lambda subject: _execute(subject, "DELETE FROM t WHERE id = 2"),
            {f"{ROWS} 2": None},
        ),
        "a link in its place": _on(_a_link, f07={"kind", "content", "target", "permissions"}),
    }
    equals: ClassVar[Mapping[str, Act]] = {
        "written in another order": _rewritten,
        "other pages of SQLite": lambda subject: _execute(subject, "PRAGMA page_size = 8192", "VACUUM"),
        "touched": lambda subject: os.utime(subject.path / "07.txt", (1, 1)),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "permissions of a mount": lambda subject: subject.of("defined").chmod(0o700),
        "owner of a mount": lambda subject: os.chown(subject.of("defined"), 7, 8),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {"names": "least"}
    # What a mount has instead of a secret is a container that has it.
    ways: ClassVar[Mapping[Way, str]] = {"wrong secret": "a container with the mount"}
    gone = "a container with the mount"
    excluded = ("permissions",)
    hidden, shown = "permissions", "a byte"
    server = "mounts of "

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._opened = ExitStack()
        image = given.engine.containers()["redis"][0].image
        folder = given.folder / "mounts"
        folder.mkdir(exist_ok=True)
        self.project = self._opened.enter_context(mounted_project(image, folder, VOLUMES))
        self.profile = self.project.profile(*(f"app:/app/{name}" for name in VOLUMES))
        self.full = self.many = "app:/app/full"
        self.empty, self.absent = "app:/app/empty", "app:/app/absent"
        self.keys = frozenset({*NAMES, *OTHERS, "base.db", *(f"{ROWS} {number}" for number in range(1, 4))})
        self.counts = {f"app:/app/{name}": 0 for name in VOLUMES} | {self.full: len(self.keys)}
        self.asked = (self.full, len(self.keys) - 3)  # a question sees files, not their rows
        self.nothing = ({"held": ("nobody:/app",)}, "no container of nobody")

    def of(self, volume: str) -> Path:
        """Return the place of a volume."""
        return self.project.paths[f"app:/app/{volume}"]

    @property
    def path(self) -> Path:
        """The place of `full`."""
        return self.of("full")

    def fill(self) -> None:
        self.mend()

    def mend(self) -> None:
        empty(self.path)
        empty(self.of("shape"))
        for number, name in enumerate(NAMES):
            put(self.path / name, f"content of {number}".encode())
        for name in OTHERS[:3]:
            put(self.path / name, name.encode() * 1000 if name != "no content" else b"")
        _execute(self, "CREATE TABLE t (id INTEGER PRIMARY KEY, x)", "INSERT INTO t (x) VALUES (1), (2), (3)")
        (self.path / "folder").mkdir()
        put(self.path / "folder" / "inside", b"inside")
        (self.path / "link").symlink_to("folder")
        os.link(self.path / "no content", self.path / "same")

    def clear(self) -> None:
        self._opened.close()

    def shaped(self, shape: str) -> str:
        empty(self.of("shape"))
        for number in range(100):
            put(self.of("shape") / f"name {number:03}", b"")
        return "app:/app/shape"

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        for name in ("a name before", "zz after"):
            put(self.of("shape") / name, b"")
        (self.of("shape") / "name 050").unlink()
        return {"a name before"}, {"zz after"}

    def define(self) -> None:
        empty(self.of("defined"))

    def undefine(self) -> None:
        empty(self.of("defined"))

    def refused(self) -> Mapping[str, Any]:
        return {"held": ("nobody:/nowhere",)}

    def reader(self, **changes: Any) -> Reader:  # noqa: ANN401 - fields of the profile
        return open_reader(self.store, self.altered(**changes), self.project.engine)

    def keeper(self) -> StoreKeeper:
        return open_keeper(self.store, self.altered(), self.project.engine, self.project.control, 60)
