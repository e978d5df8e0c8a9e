"""The lost window: what was written between a backup and the rollback that goes back to it, exported whole.

It is in ``incidents/<id>/lost-window``: a file of JSON lines a collection, each a record with what the
store's own tool takes to write it again, and ``window.json``, written last, by which the records are
accounted for when the restore is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import Field, ValidationError

from fixtures.command import Deadline
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed, Problem
from fixtures.files import write_whole
from fixtures.record_blocks import new_blocks, read_block, write_block
from fixtures.stores.content import Digest, RecordHash
from fixtures.stores.factory import open_content
from fixtures.target import Target
from rollback_actions.changes import (
    Ground,
    Pair,
    Written,
    aligned,
    difference,
    ground_of,
    live_digests,
    live_parts,
    require_time,
)
from rollback_actions.contents import Counted
from rollback_actions.index import (
    Block,
    Frozen,
    Natural,
    StoreIndex,
    counted_collections,
    every_field,
    pace_of,
)
from rollback_actions.stores.export import ExportedRecord, RecordExport
from rollback_actions.stores.factory import open_export

FOLDER = "lost-window"
MANIFEST = "window.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


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
    """The lost window of a rollback to the backup set `backup`."""

    version: Literal[1] = 1
    backup: str
    stores: dict[str, WindowStore]


def blocks_file(number: int, what: Literal["now", "exported"]) -> Path:
    """Return where the blocks of collection `number` are, below the folder of its store."""
    return Path("parts") / f"{number:04d}.{what}.blocks"


def export_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    folder: Path,
    limit: Deadline,
) -> WindowStore:
    """Export what store `name` holds and `index` does not, into `folder`, which is this store's alone.

    A collection that cannot be read is named in `unknown`: it may be what the rollback is to cure.

    Raises:
        ActionFailed: what was read could not be written, or not within `limit`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    profile = every_field(target.stores[name])
    try:
        names = counted_collections(name, profile, engine)
    except Problem as problem:
        return WindowStore(collections={}, unknown={name: problem.summary})

    def exported(number: int, collection: str) -> WindowCollection | str:
        try:
            with _on_disk(folder):
                return _Exporter(target, engine, name, folder, number, collection).export(index, limit)
        except ActionFailed:
            raise
        except Problem as problem:
            return problem.summary

    with ThreadPoolExecutor(profile.load.connections) as pool:
        found = dict(zip(names, pool.map(exported, range(len(names)), names), strict=True))
    return WindowStore(
        collections={key: value for key, value in found.items() if isinstance(value, WindowCollection)},
        unknown={key: value for key, value in found.items() if isinstance(value, str)},
    )


def write_window(folder: Path, window: Window, replays: Mapping[str, str]) -> None:
    """Seal the window in `folder`; `replays` is the command for each file of lines."""
    with _on_disk(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def read_window(folder: Path) -> Window | None:
    """Return the sealed window in `folder`, None when there is none.

    Raises:
        ActionFailed: it is not as it was written.
    """
    try:
        return Window.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
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


class _Exporter:
    """Exports one collection into files of its own."""

    def __init__(
        self,
        target: Target,
        engine: ContainerEngine,
        store: str,
        folder: Path,
        number: int,
        collection: str,
    ) -> None:
        self._profile = every_field(target.stores[store])
        self._engine, self._store, self._collection, self._folder = engine, store, collection, folder
        self._pace = pace_of(self._profile)
        self.file = f"{number:04d}-{_UNSAFE.sub('_', collection)[:80]}.jsonl"
        self._number = number
        self._now, self._exported = (folder / blocks_file(number, what) for what in ("now", "exported"))
        self._parts: dict[int, WindowPart] = {}
        self._lines, self._written = 0, Written()

    def export(self, index: StoreIndex | None, limit: Deadline) -> WindowCollection:
        """Do it."""
        what = f"export of {self._collection}"
        require_time(limit, what)
        with open_content(self._store, self._profile, self._engine) as content:
            ground = ground_of(content, self._collection, index, self._pace)
            digests = live_digests(content, ground, self._pace)
            for part, digest in enumerate(digests):
                self._parts[part] = WindowPart(
                    bound=ground.division[part], records=digest.records, total=f"{digest.total:x}"
                )
            differing = [part for part, digest in enumerate(digests) if digest != ground.digests[part]]
            if differing:
                with (
                    new_blocks(self._now) as now,
                    new_blocks(self._exported) as exported,
                    open_export(self._store, self._profile, self._engine) as export,
                ):
                    found = live_parts(content, ground, differing, self._pace)
                    for part, records in found:
                        require_time(limit, what)
                        written = self._keep(part, records, ground, now)
                        if written:
                            self._write(export, ground, part, written, exported)
        return WindowCollection(
            number=self._number,
            parts=tuple(self._parts[part] for part in range(len(ground.division))),
            indexed=ground.index is not None,
            file=self.file if self._lines else "",
            lines=self._lines,
            new=self._written.new,
            changed=self._written.changed,
            gone=self._written.gone,
        )

    def _keep(
        self, part: int, records: Iterator[RecordHash], ground: Ground, stream: IO[bytes]
    ) -> dict[Pair, list[str]]:
        """Write down what the part holds; return what of it is to be exported, each time with its change."""
        counted = Counted(records)
        block = write_block(stream, counted)
        stream.flush()
        size = max(counted.digest.records, ground.digests[part].records)
        written: dict[Pair, list[str]] = {}
        for before, now in aligned(size, ground.before(part), read_block(self._now, *block)):
            found = difference(before, now)
            changed = self._written.add(found)
            for record in found.written:
                change = "changed" if record.key in changed else "new"
                written.setdefault((record.key, record.hash), []).append(change)
        self._parts[part] = self._parts[part].model_copy(
            update={
                "records": counted.digest.records,
                "total": f"{counted.digest.total:x}",
                "now": block,
            }
        )
        return written

    def _write(
        self,
        export: RecordExport,
        ground: Ground,
        part: int,
        written: Mapping[Pair, list[str]],
        stream: IO[bytes],
    ) -> None:
        """Export records of a part; note which were, as they reach the disk."""
        path = self._folder / self.file
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        wanted = {part: frozenset(written)}

        def exported(lines: IO[bytes]) -> Iterator[RecordHash]:
            for record in export.export(self._collection, ground.division, wanted, self._folder, self._pace):
                # Of equal rows of a table without a key, some may have been there before.
                if changes := written[record.key, record.hash]:
                    lines.write(_line(record, changes.pop()))
                    self._lines += 1
                    yield RecordHash(record.key, record.hash)

        with os.fdopen(descriptor, "ab") as lines:
            block = write_block(stream, exported(lines))
            lines.flush()
            os.fsync(lines.fileno())
        self._parts[part] = self._parts[part].model_copy(update={"exported": block})


def _replay(file: Path, command: str) -> str:
    # Files that lines name are looked for in the store's own folder.
    return f"\n{file}\n    cd {file.parent} && jq -r '.replay | select(. != \"\")' {file.name} | {command}"


def _line(record: ExportedRecord, change: str) -> bytes:
    fields = {
        "key": record.key,
        "change": change,
        "hash": f"{record.hash:x}",
        "content": record.content,
        "replay": record.replay,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
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
