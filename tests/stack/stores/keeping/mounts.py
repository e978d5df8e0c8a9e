"""Mounts of the application as a subject: a volume and a folder of the host, with every kind of file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from rollback_actions.containers import volumes
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import ENGINE
from tests.stack.mounted_project import DATA, STORE, empty, mounted_project, put, seen
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

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


class Mounts(Subject):
    """A volume and a folder in a service that does not run, beside a volume that no profile names."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "text": {"permissions": "0640", "owner": "1000:1001"},
        "dangling": {"target": "deep/nowhere"},
    }
    exclude = ("permissions", "owner")
    absent = "app:/gone"
    locked, served = False, False
    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
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

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        image = bench.engine.containers()["redis"][0].image
        folder = bench.new_folder("mounts")
        self.project = opened.enter_context(mounted_project(image, folder, ("state", "beside")))
        self.state, self.data = self.project.paths[STATE], self.project.paths[DATA]
        put(self.project.paths["app:/app/beside"] / "beside", b"1")
        profile = self.project.profile(STATE, DATA)
        self.settle(STORE, profile, ENGINE, self.project.control, self.project.engine)

    def clear(self) -> None:
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

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        _all_kinds(self.data)
        # No line of an export can make one of these.
        (self.data / "out").symlink_to("../../../../nowhere")
        for number in range(30):
            put(self.state / f"{number}", f"content {number}".encode())
        return {STATE: 30, DATA: COUNT + 1}

    def observe(self) -> object:
        return seen(self.state), seen(self.data)

    def beside(self) -> object:
        return seen(self.project.paths["app:/app/beside"])

    def add(self) -> None:
        put(self.data / "late", b"late")
        (self.data / "later").mkdir(exist_ok=True)
        put(self.data / "later" / "one", b"1")

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return volumes, "run_command"

    def drop(self, what: str) -> Mapping[str, int]:
        self.clear()
        return {STATE: 0, DATA: 0}

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_write", lambda: put(self.state / "29", b"written meanwhile")

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return self.project.control, "replace_files", lambda: put(self.data / "later", b"of a user")


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
