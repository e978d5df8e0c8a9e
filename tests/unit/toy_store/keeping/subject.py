"""A folder for the contracts of exports and keepers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from rollproof.engines.engine import Endpoint
from rollproof.stores.keeper import StoreKeeper
from tests.stack.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject
from tests.unit.toy_store import keeper as toy_keeper
from tests.unit.toy_store.made_up import ADDRESS, CONTROL, STORE, profile_of, put

EVERY_BYTE = bytes(range(256))


class Folder(Subject):
    """Two collections in a folder, and a neighbour beside them that no pattern chooses."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "text": {"content": "some text\n", "permissions": "640"},
        "every byte": {"permissions": "600"},
    }
    exclude = ("permissions",)
    absent = "gone"
    locked, stack = False, False
    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "files, permissions and folders": {
            "a file deleted": lambda subject: (subject.first / "5").unlink(),
            "other content": lambda subject: put(subject.first / "6", b"someone else's"),
            "other permissions": lambda subject: (subject.first / "7").chmod(0o600),
            "other permissions of a folder": lambda subject: subject.first.chmod(0o700),
            "a folder deleted": lambda subject: shutil.rmtree(subject.second),
        }
    }
    notes = frozenset(
        {
            "removed first/late, which came after the backup",
            "removed later, which came after the backup",
        }
    )
    words = ("a copy of each file",)
    kills = (10,)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"collections": {"collections": ("first",)}}
    disturbed = "files that nobody writes meanwhile"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        self.folder = bench.folder / "store"
        self.first, self.second = self.folder / "first", self.folder / "second"
        self._neighbour = self.folder / "neighbour"
        self._neighbour.mkdir(parents=True)
        put(self._neighbour / "beside", b"1")
        profile = profile_of(self.folder, ("first", "second", "later"))
        self.settle(STORE, profile, Endpoint(str(ADDRESS.host), ADDRESS.port), CONTROL)
        opened.callback(shutil.rmtree, self.folder)

    def clear(self) -> None:
        for name in ("first", "second", "later"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    # The export.

    def _files(self) -> Exported:
        self.first.mkdir()
        put(self.first / "text", b"some text\n")
        put(self.first / "every byte", EVERY_BYTE, 0o600)
        put(self.first / "empty", b"")
        put(self.first / "odd \"name'\n ä", b"x")
        for number in range(20):
            put(self.first / f"{number}", f"{number}".encode(), 0o644)

        def damage() -> None:
            for number, path in enumerate(sorted(self.first.iterdir())):
                if number % 2:
                    path.unlink()
                else:
                    put(path, b"changed", 0o666)

        return Exported("first", damage)

    exported: ClassVar[Mapping[str, Callable[[Folder], Exported]]] = {"files": _files}

    def choose(self) -> Chosen:
        self.first.mkdir()
        for number in range(40):
            put(self.first / f"{number:02}", f"{number}".encode())

        def spoil() -> None:
            (self.first / "04").unlink()
            put(self.first / "05", b"later")
            (self.first / "06").chmod(0o600)

        keys = [f"{number:02}" for number in range(3, 10)]
        return Chosen("first", keys, spoil, ("03", "07", "08", "09"), size=10)

    # The keeper.

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        self.first.mkdir(mode=0o755)
        self.second.mkdir(mode=0o700)
        for number in range(30):
            put(self.first / f"{number}", f"content {number}".encode())
        put(self.second / "every byte", EVERY_BYTE * 100, 0o600)
        return {"first": 30, "second": 1}

    def observe(self) -> object:
        return [_observed(self.folder / name) for name in ("first", "second", "later")]

    def beside(self) -> object:
        return _observed(self._neighbour)

    def add(self) -> None:
        put(self.first / "late", b"late")
        later = self.folder / "later"
        later.mkdir(exist_ok=True)
        put(later / "one", b"1")

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return toy_keeper, "_copy"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return toy_keeper, "_copy", lambda: put(self.first / "29", b"written meanwhile")


def _observed(folder: Path) -> object:
    """Return the permissions of a folder, and of its files with their content; None where it is gone."""
    if not folder.exists():
        return None
    files = {path.name: (path.stat().st_mode, path.read_bytes()) for path in sorted(folder.iterdir())}
    return folder.stat().st_mode, files
