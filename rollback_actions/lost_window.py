"""The lost window: what was written between a backup and the rollback that goes back to it, exported whole.

It is in ``incidents/<id>/lost-window``: a file of JSON lines a collection, each a record with what the
store's own tool takes to write it again, and ``window.json``, written last, by which the records are
accounted for when the restore is done. A rollback that is gone on with exports again, into a further folder,
``lost-window-2``: it may have been written to meanwhile. Nothing of an earlier one is ever removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed
from fixtures.files import write_whole
from fixtures.incident import LOST_WINDOW
from fixtures.record_blocks import read_block
from fixtures.stores.content import Digest
from fixtures.target import Target
from rollback_actions.changes import (
    Records,
    Written,
)
from rollback_actions.index import (
    Block,
    Frozen,
    Natural,
)
from rollback_actions.stores.factory import open_export

FOLDER = LOST_WINDOW
MANIFEST = "window.json"


class WindowPart(Frozen):
    """One part as it was before the restore. `now` and `exported` are blocks; None where there was no need.

    Without `now` the part is as the index has it.
    """

    bound: str
    records: Natural
    total: str
    now: Block | None = None
    exported: Block | None = None

    @property
    def digest(self) -> Digest:
        """Its digest."""
        return Digest(self.records, int(self.total, 16))


class WindowCollection(Frozen):
    """One collection as it was. `indexed` says whether it was held against the index of the backup.

    `lines` is how many records its file of JSON lines holds; `new`, `changed` and `gone` are those since the
    backup.
    """

    number: Natural
    parts: tuple[WindowPart, ...]
    indexed: bool
    file: str
    lines: Natural
    new: Natural
    changed: Natural
    gone: Natural

    @property
    def division(self) -> tuple[str, ...]:
        """Where its parts begin."""
        return tuple(part.bound for part in self.parts)

    @property
    def now_file(self) -> Path:
        """The blocks of what was there, below the folder of the store."""
        return blocks_file(self.number, "now")

    @property
    def exported_file(self) -> Path:
        """The blocks of what was exported, below the folder of the store."""
        return blocks_file(self.number, "exported")


class WindowStore(Frozen):
    """The collections of one store; `unknown` are those that could not be read, with the reason."""

    collections: dict[str, WindowCollection]
    unknown: dict[str, str] = Field(default_factory=dict)

    @property
    def lines(self) -> int:
        """How many records were exported."""
        return sum(collection.lines for collection in self.collections.values())

    def __str__(self) -> str:
        """Return what was found, in words."""
        written = Written()
        for one in self.collections.values():
            written += Written(one.new, one.changed, one.gone)
        text = f"{written} since the backup; {self.lines:,} exported"
        return text + "".join(f"; {name} unknown: {reason}" for name, reason in self.unknown.items())


class Window(Frozen):
    """The lost window of a rollback to the backup set `backup`; `folder` is where it was read from."""

    version: Literal[1] = 1
    backup: str
    stores: dict[str, WindowStore]
    folder: Annotated[Path, Field(exclude=True)] = Path()

    def exported(self, store: str, collection: str, division: tuple[str, ...], part: int) -> Records:
        """Return the records of one part that were exported; none when it was divided otherwise."""
        found = self.stores[store].collections.get(collection) if store in self.stores else None
        if found is None or found.division != division or (block := found.parts[part].exported) is None:
            return ()
        return read_block(self.folder / store / found.exported_file, *block)


def blocks_file(number: int, what: Literal["now", "exported"]) -> Path:
    """Return where the blocks of collection `number` are, below the folder of its store."""
    return Path("parts") / f"{number:04d}.{what}.blocks"


def new_window(incident: Path) -> Path:
    """Make the folder of a new window of `incident`: records of people are nobody else's to read.

    Raises:
        ActionFailed: it cannot be made.
    """
    numbers = count(2)
    folder = incident / FOLDER
    with on_disk(folder):
        while True:
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                folder = incident / f"{FOLDER}-{next(numbers)}"
            else:
                return folder


def write_window(folder: Path, window: Window, replays: Mapping[str, str]) -> None:
    """Seal the window in `folder`; `replays` is the command for each file of lines."""
    with on_disk(folder):
        lines = [
            "Records that were written between the backup and the rollback, one JSON line each: key, change,",
            "content, and replay, which is what the store's own tool takes. To write those of a file again,",
            "run in this folder, on the rolled back target, after a look at each record:",
            *(_replay(Path(file), command) for file, command in sorted(replays.items())),
            "",
            "PASSWORD_FILE holds the operator's password; mongoimport wants it as the line `password: ...`.",
            "Statements for MySQL fire triggers, and are not held to foreign keys: replay all of its files.",
            "A document of MongoDB without a replay is in the file that its content names, for mongorestore.",
        ]
        write_whole(folder / "README.txt", ("\n".join(lines) + "\n").encode())
        write_whole(folder / MANIFEST, window.model_dump_json(indent=1).encode())


def read_window(folder: Path) -> Window:
    """Return the sealed window in `folder`.

    Raises:
        ActionFailed: it is not there, or not as it was written.
    """
    try:
        found = Window.model_validate_json((folder / MANIFEST).read_bytes())
        return found.model_copy(update={"folder": folder})
    except (OSError, ValidationError) as error:
        raise ActionFailed(
            what="lost window",
            expected=f"a readable {MANIFEST}",
            observed=type(error).__name__,
            source=str(folder),
            hint="records can no longer be accounted for; the safety copy holds what the stores held",
        ) from None


def replays(
    target: Target, engine: ContainerEngine, stores: Mapping[str, WindowStore]
) -> Iterator[tuple[str, str]]:
    """Yield each file of lines, by its path in the window, with the command that takes them."""
    for name, store in stores.items():
        if not store.lines:
            continue
        with open_export(name, target.stores[name], engine) as export:
            for collection, found in store.collections.items():
                if found.lines:
                    yield f"{name}/{found.file}", export.how_to_replay(collection)


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Say that what is written below `folder` does not fit or may not be written, when that is so."""
    try:
        yield
    except OSError as error:
        raise ActionFailed(
            what="lost window",
            expected="a folder that what was written since the backup fits into",
            observed=f"{error.strerror or type(error).__name__}",
            source=str(folder),
            hint="make room in the incidents folder, and go on: nothing has been overwritten yet",
        ) from None


def _replay(file: Path, command: str) -> str:
    # Files that lines name are looked for in the store's own folder.
    return f"\n{file}\n    cd {file.parent} && jq -r '.replay | select(. != \"\")' {file.name} | {command}"
