"""The folder as a subject of the contract: records that are known, and changes of them."""

import shutil
from pathlib import Path
from typing import Any

from folder_store.descriptor import FolderProfile
from folder_store.keeper import FolderKeeper
from rollproof.contract.subject import Subject
from rollproof.stores.keeper import Writable
from rollproof.stores.reach import ENGINE


class FolderSubject(Subject):
    """Folders of ten files and of none."""

    store = "folder"
    full = many = "full"
    empty, absent = "empty", "absent"
    keys = frozenset(f"{number}.txt" for number in range(10))
    counts = {"full": 10, "empty": 0, "shape": 0}
    asked, server = ("full", 10), "folder "
    changes = {
        "lost": (lambda subject: subject.file(7).unlink(), {"7.txt": None}),
        "added": (lambda subject: subject.file(10).write_text("ten"), {"10.txt": None}),
        "a byte": (lambda subject: subject.file(7).write_text("eight"), {"7.txt": {"content"}}),
        "mode": (lambda subject: subject.file(7).chmod(0o600), {"7.txt": {"permissions"}}),
    }
    equals = {"written again": lambda subject: subject.file(7).write_text("content of 7")}
    schema_changes = {"mode of the folder": lambda subject: (subject.path / "full").chmod(0o700)}
    shapes = {"names": "least"}
    ways = {"wrong secret": "No such file or directory"}  # a folder has neither port nor secret
    gone = "folder absent"
    excluded, hidden, shown = ("permissions",), "mode", "a byte"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "store"
        section = {"kind": "folder", "address": {"host": "127.0.0.1", "port": 9}, "services": ["files"]}
        self.profile = FolderProfile(**section, risk="low", folder=self.path)
        nothing = folder / "nothing"
        nothing.mkdir()
        self.nothing = ({"folder": nothing}, "a file in the folder")

    def file(self, number: int) -> Path:
        return self.path / "full" / f"{number}.txt"

    def fill(self) -> None:
        for name in self.counts:
            (self.path / name).mkdir(parents=True)
        self.mend()

    def mend(self) -> None:
        for name in ("full", "shape"):
            shutil.rmtree(self.path / name)
            (self.path / name).mkdir(mode=0o755)
        for number in range(10):
            self.file(number).write_text(f"content of {number}")

    def clear(self) -> None:
        shutil.rmtree(self.path)

    def shaped(self, shape: str) -> str:
        self.mend()
        for number in range(100, 150):
            (self.path / "shape" / f"{number}").touch()
        return "shape"

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        (self.path / "shape" / "120").unlink()
        for name in ("0", "9"):
            (self.path / "shape" / name).touch()
        return {"0"}, {"9"}

    def define(self) -> None:
        self.mend()

    undefine = define

    def refused(self) -> dict[str, Path]:
        return {"folder": self.folder / "elsewhere"}

    def keeper(self) -> FolderKeeper:
        control: Any = None  # a folder has no container
        return FolderKeeper(Writable("folder", self.profile, ENGINE, control, 60))
