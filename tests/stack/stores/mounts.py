"""Mounts of the application: volumes and a folder of a service that does not run, with every kind of file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from rollback_actions.containers import volumes
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.reach import ENGINE
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from tests.stack.mounted_project import DATA, STORE, empty, mounted_project, put, seen
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, Way

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


STATE = "app:/app/state"
EVERY_BYTE = bytes(range(256))
ODD = ("odd \"name' $(id)\n ä", "-rf", ".hidden", "..two", os.fsdecode(b"not \xff UTF-8"), "x" * 200)


def _all_kinds(path: Path) -> None:
    """Put everything into a folder that there can be."""
    path.chmod(0o1775)
    os.chown(path, 1000, 1001)
    put(path / "text", b"some text\n")
    put(path / "program", EVERY_BYTE * 5000, 0o4755)
    put(path / "none", b"", 0o000)
    os.chown(path / "text", 1000, 1001)
    for name in ODD:
        put(path / name, os.fsencode(name))
    (path / "deep" / "below").mkdir(parents=True)
    (path / "deep" / "empty").mkdir(mode=0o700)
    put(path / "deep" / "below" / "file", b"deep")
    os.link(path / "text", path / "the same as text")
    (path / "absolute").symlink_to("/etc/passwd")
    (path / "dangling").symlink_to("deep/nowhere")
    (path / "to a folder").symlink_to("deep")
    os.mkfifo(path / "pipe")
    os.utime(path / "text", (1_000_000_000, 1_000_000_000))


COUNT = 3 + len(ODD) + 4 + 1 + 3 + 1


def _relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def _flattened(path: Path) -> None:
    for one in sorted(path.rglob("*"), reverse=True):
        one.rmdir() if one.is_dir() else one.unlink()
    path.rmdir()
    put(path, b"a file now")


def _grown(path: Path) -> None:
    path.unlink()
    path.mkdir()


class Mounts(Subject):
    """Four volumes to read, of which `full` has every kind of file; a volume and a folder to keep."""

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
        image = given.engine.containers()["redis"][0].image
        folder = given.new_folder("mounts")
        self.project = self.opened.enter_context(
            mounted_project(image, folder, ("state", "outside", *VOLUMES))
        )
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
        self.leave()

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

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "text": {"permissions": "0640", "owner": "1000:1001"},
        "dangling": {"target": "deep/nowhere"},
    }
    undigested = ("permissions", "owner")
    unexported = "app:/gone"
    locked, served = False, False
    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "files, links and folders": {
            "a file deleted": lambda subject: (subject.data / "text").unlink(),
            "other content": lambda subject: put(subject.data / "program", b"someone else's"),
            "other permissions": lambda subject: (subject.data / "none").chmod(0o600),
            "another owner": lambda subject: os.chown(subject.data / "-rf", 5, 5),
            "another target": lambda subject: _relinked(subject.data / "absolute"),
            "a file in the place of a folder": lambda subject: _flattened(subject.data / "deep"),
            "a folder in the place of a file": lambda subject: _grown(subject.data / ".hidden"),
            "other permissions of the mount": lambda subject: subject.data.chmod(0o700),
        },
        "all of it": {"the volume emptied": lambda subject: empty(subject.state)},
    }
    notes = frozenset[str]()
    words = ("a tar of each mount",)
    # Before a mount is emptied, when it is empty, before it is filled, and before the next one is filled.
    kills = (2, 3, 4, 11)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"places": {"held": (DATA,)}}
    disturbed = "files in app:/app/state that nobody writes meanwhile"
    overtaken = "observed other files"

    def settle(self) -> None:
        self.state, self.data = self.project.paths[STATE], self.project.paths[DATA]
        put(self.project.paths["app:/app/outside"] / "outside", b"1")
        profile = self.project.profile(STATE, DATA)
        self.take(profile, ENGINE, self.project.control, self.project.engine)

    def wipe(self) -> None:
        for path in (self.state, self.data):
            empty(path)

    # The export.

    def _everything(self) -> Exported:
        _all_kinds(self.data)

        def damage() -> None:
            for path in sorted(self.data.iterdir())[::2]:
                if path.name not in {"deep", "text"}:
                    path.unlink()
            for path in (*self.data.iterdir(), *self.data.glob("deep/**/*"), self.data / "deep"):
                if path.is_symlink():
                    _relinked(path)
                else:
                    path.chmod(0o777)

        return Exported(DATA, damage)

    exported: ClassVar[Mapping[str, Callable[[Mounts], Exported]]] = {"everything": _everything}

    def choose(self) -> Chosen:
        for number in range(40):
            put(self.data / f"{number:02}", f"{number}".encode())

        def spoil() -> None:
            (self.data / "04").unlink()
            put(self.data / "05", b"later")
            (self.data / "06").chmod(0o600)

        keys = [f"{number:02}" for number in range(3, 10)]
        return Chosen(DATA, keys, spoil, ("03", "07", "08", "09"), size=10)

    # The keeper.

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        _all_kinds(self.data)
        # No line of an export can make one of these.
        (self.data / "out").symlink_to("../../../../nowhere")
        for number in range(30):
            put(self.state / f"{number}", f"content {number}".encode())
        return {STATE: 30, DATA: COUNT + 1}

    def observe(self) -> object:
        return seen(self.state), seen(self.data)

    def unlisted(self) -> object:
        return seen(self.project.paths["app:/app/outside"])

    def add(self) -> None:
        put(self.data / "late", b"late")
        (self.data / "later").mkdir(exist_ok=True)
        put(self.data / "later" / "one", b"1")

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return volumes, "run_command"

    def drop(self, what: str) -> Mapping[str, int]:
        self.wipe()
        return {STATE: 0, DATA: 0}

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_write", lambda: put(self.state / "29", b"written meanwhile")

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return self.project.control, "replace_files", lambda: put(self.data / "later", b"of a user")
