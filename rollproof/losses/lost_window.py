"""The export of the lost window: all records written between a backup and the rollback to it.

The folder ``incidents/<id>/lost-window`` has one file of JSON lines a collection. Each line is a record,
which ``rollproof replay FILE`` puts back. ``window.json``, written last, serves to account for the records
after the restore, and to check such a file. A resumed rollback exports again, into a further folder such as
``lost-window-2``: the stores may have been written to meanwhile. Nothing in an earlier window is removed.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from shlex import quote
from typing import IO, Annotated, Literal

from rollproof.backups.index import (
    Block,
    DigestedPart,
    StoreIndex,
    division_of,
    every_field,
    standing_collections,
)
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.losses.changes import (
    Indexed,
    Pair,
    Records,
    Written,
    aligned,
    difference,
    indexed_of,
    live_parts,
    pairs,
    require_time,
)
from rollproof.profile.profile import Target
from rollproof.reading import open_regular
from rollproof.record_names import LOST_WINDOW
from rollproof.stores.blocks import Counted, new_blocks, read_block, write_block
from rollproof.stores.contract import ExportedRecord, RecordExport, RecordHash, Selection
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content, open_export
from rollproof.system.command import Deadline
from rollproof.system.files import sync_folder, sync_tree, write_whole
from rollproof.system.record_files import Must, Natural, WrongRecord, load_record, write_record
from rollproof.system.side_by_side import each

MANIFEST = "window.json"
VERSION = 1
README = """\
The records that were written between the backup and the rollback: a folder for each store, and in it
a file of JSON lines for each collection. A line is a record: its key, whether it was new or changed,
its content for people, and `replay` for the command below if the content is not exact.

- Look at the records first, but change no file: one that was changed is refused.
- A record whose store has the same version counts as put back. If the store has another version, it is
  left alone and reported, unless you add --overwrite. The command can be repeated. Only where the store
  makes the keys or offsets itself, each run appends the records that are not at their old ones.
- While it replays, a relational store does not check foreign keys, and triggers fire: put back all of
  the store's files.
- Records that could not be put back are in a file beside theirs, .not-put-back.jsonl, with the reasons.

The command for each file:

"""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class WindowPart(DigestedPart):
    """One part before the restore: the block of its records then, `now`, and of the `exported` ones.

    Without `now`, the part was as the backup's index has it. Without `exported`, nothing was exported.
    """

    now: Block | None = None
    exported: Block | None = None


@dataclass(frozen=True, slots=True)
class WindowCollection:
    """One collection before the restore. `indexed`: it was compared with the backup's index.

    `lines` is the number of records in its file of JSON lines. `new`, `changed` and `gone` count the changes
    since the backup.
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
        """The bounds at which its parts begin."""
        return division_of(self.parts)

    @property
    def now_file(self) -> Path:
        """The file of blocks with the records before the restore, below the store's folder."""
        return blocks_file(self.number, "now")

    @property
    def exported_file(self) -> Path:
        """The file of blocks with the exported records, below the store's folder."""
        return blocks_file(self.number, "exported")


@dataclass(frozen=True, slots=True)
class WindowStore:
    """One store's collections; `unknown` maps collections that could not be read to the reason."""

    collections: Mapping[str, WindowCollection]
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """The number of exported records."""
        return sum(collection.lines for collection in self.collections.values())

    def __str__(self) -> str:
        """Return the counts in words."""
        written = Written()
        for one in self.collections.values():
            written += Written(one.new, one.changed, one.gone)
        text = f"{written} since the backup; {self.lines:,} exported"
        return text + "".join(f"; {name} unknown: {reason}" for name, reason in self.unknown.items())


@dataclass(frozen=True, slots=True)
class WindowFile:
    """The lost window of a rollback to the backup set `backup`."""

    backup: str
    stores: Mapping[str, WindowStore]
    version: Annotated[int, Must(f"version {VERSION}", VERSION.__eq__)] = VERSION


@dataclass(frozen=True, slots=True)
class LostWindow(WindowFile):
    """A lost window; `folder` is its own folder."""

    folder: Path = field(kw_only=True)

    def exported(self, store: str, collection: str, division: tuple[str, ...], part: int) -> Records:
        """Return the exported records of one part; none if the window's division differs."""
        found = self.stores[store].collections.get(collection) if store in self.stores else None
        if found is None or found.division != division or (block := found.parts[part].exported) is None:
            return ()
        return read_block(self.folder / store / found.exported_file, *block)


def blocks_file(number: int, what: Literal["now", "exported"]) -> Path:
    """Return the path of the blocks of collection `number`, below its store's folder."""
    return Path("parts") / f"{number:04d}.{what}.blocks"


def new_window(incident: Path) -> Path:
    """Make the folder for a new window of `incident`, for this user alone: it will hold personal data.

    Raises:
        ActionFailed: it cannot be made.
    """
    numbers = count(2)
    folder = incident / LOST_WINDOW
    with on_disk(folder):
        while True:
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                folder = incident / f"{LOST_WINDOW}-{next(numbers)}"
            else:
                sync_folder(incident)
                return folder


def write_window(folder: Path, window: LostWindow) -> None:
    """Write README.txt, then the manifest: a window with a manifest is complete."""
    files = [
        folder / name / found.file
        for name, store in sorted(window.stores.items())
        for found in store.collections.values()
        if found.lines
    ]
    commands = "".join(f"    {typed(f'replay {quote(str(file.absolute()))}')}\n" for file in files)
    with on_disk(folder):
        write_whole(folder / "README.txt", f"{README}{commands}".encode())
        # Sync before the manifest is written: if it survives a crash, so do all records.
        sync_tree(folder)
        write_record(folder / MANIFEST, WindowFile(window.backup, window.stores))


def read_window(folder: Path) -> LostWindow:
    """Return the complete window in `folder`.

    Raises:
        ActionFailed: its manifest is missing, unreadable, or no valid record of a window.
    """
    try:
        found = load_record(WindowFile, folder / MANIFEST)
        return LostWindow(found.backup, found.stores, folder=folder)
    except (OSError, WrongRecord) as error:
        raise ActionFailed(
            what="lost window",
            expected=f"a readable {MANIFEST}",
            observed=reason_of(error) if isinstance(error, OSError) else error,
            source=str(folder),
            hint="records can no longer be accounted for; the safety copy holds what the stores held",
        ) from None


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Turn an `OSError` into `ActionFailed`: writing below `folder` fails for space or permission."""
    try:
        yield
    except OSError as error:
        raise ActionFailed(
            what="lost window",
            expected="room for the records written since the backup",
            observed=reason_of(error),
            source=str(folder),
            hint="make room in the incidents folder, then resume: nothing has been overwritten yet",
        ) from None


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """The file of JSON lines of one collection in a lost window, `described` by the window's manifest."""

    path: Path
    store: str
    collection: str
    described: WindowCollection

    @property
    def parts(self) -> list[int]:
        """The parts of the collection's division that the exported records are in."""
        return [number for number, part in enumerate(self.described.parts) if part.exported is not None]

    def records(self) -> Iterator[ExportedRecord]:
        """Yield the records of its lines, in their order.

        Raises:
            UsageProblem: a line is no exported record.
        """
        try:
            with open_regular(self.path) as lines:
                for line in lines:
                    found = json.loads(line)
                    yield ExportedRecord(
                        str(found["key"]), int(found["hash"], 16), found["content"], found["replay"]
                    )
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._not_as_exported(f"{type(error).__name__}: {error}") from None

    def before(self) -> Counter[Pair]:
        """Return key and hash of all records in `parts`, before the restore. Equal rows repeat."""
        return self._pairs(self.described.now_file, [self.described.parts[n].now for n in self.parts])

    def check(self) -> Counter[Pair]:
        """Return the pairs of key and hash of its records.

        Raises:
            UsageProblem: they are not those that the window has exported.
        """
        found = Counter((record.key, record.hash) for record in self.records())
        exported = [self.described.parts[number].exported for number in self.parts]
        if found != self._pairs(self.described.exported_file, exported):
            raise self._not_as_exported(f"{found.total():,} records, which differ from the exported ones")
        return found

    def _pairs(self, file: Path, blocks: Sequence[Block | None]) -> Counter[Pair]:
        path = self.path.parent / file
        return pairs(chain.from_iterable(read_block(path, *block) for block in blocks if block is not None))

    def _not_as_exported(self, observed: str) -> UsageProblem:
        return UsageProblem(
            what=f"exported records of {self.store}",
            expected=f"the {self.described.lines:,} lines of the export, unchanged",
            observed=observed,
            source=str(self.path),
            hint="put the file back as it was: only exported records can be replayed",
        )


def find_exported(file: Path) -> ExportedFile:
    """Return the file of JSON lines `file`, which the manifest of its lost window must name.

    Raises:
        UsageProblem: the manifest does not name it. `ActionFailed`: the manifest cannot be read.
    """
    window, name = read_window(file.parent.parent), file.parent.name
    store = window.stores.get(name, WindowStore(collections={}))
    for collection, described in store.collections.items():
        if described.lines and described.file == file.name:
            return ExportedFile(file, name, collection, described)
    raise UsageProblem(
        what="exported records",
        expected=f"a file of lines that {MANIFEST} of its lost window names",
        observed=f"{name}/{file.name}",
        source=str(file),
        hint="README.txt of the lost window has the command for each of its files",
    )


def export_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: StoreIndex | None,
    earlier: Sequence[LostWindow],
    folder: Path,
    limit: Deadline,
) -> WindowStore:
    """Export the records of store `name` that neither `index` nor any `earlier` window has.

    `folder` must not exist: it is made for this store.

    A collection that cannot be read within `limit`, or at all, is named in `unknown`: its damage may be the
    reason for the rollback.

    Raises:
        ActionFailed: the records could not be written.
    """
    with on_disk(folder):
        folder.mkdir(mode=0o700)
    profile = every_field(target.stores[name])
    try:
        names = standing_collections(name, profile, engine)
    except Problem as problem:
        return WindowStore(collections={}, unknown={name: problem.summary})

    def exported(numbered: tuple[int, str]) -> WindowCollection | str:
        try:
            with on_disk(folder):
                exporter = _Exporter(target, engine, name, earlier, folder, *numbered)
                return exporter.export(index, limit)
        except ActionFailed:
            raise
        except Problem as problem:
            return problem.summary

    found = each(exported, enumerate(names), workers=profile.load.connections, name="export")
    return WindowStore(
        collections={key: value for (_, key), value in found.items() if isinstance(value, WindowCollection)},
        unknown={key: value for (_, key), value in found.items() if isinstance(value, str)},
    )


class _Exporter:
    """Exports one collection into separate files."""

    def __init__(
        self,
        target: Target,
        engine: ContainerEngine,
        store: str,
        earlier: Sequence[LostWindow],
        folder: Path,
        number: int,
        collection: str,
    ) -> None:
        self._earlier = earlier
        self._profile = every_field(target.stores[store])
        self._engine, self._store, self._collection, self._folder = engine, store, collection, folder
        self._pace = pace_of(self._profile)
        self.file = f"{number:04d}-{_UNSAFE.sub('_', collection)[:80]}.jsonl"
        self._number = number
        self._now, self._exported = (folder / blocks_file(number, what) for what in ("now", "exported"))
        self._parts: dict[int, WindowPart] = {}
        self._lines, self._written = 0, Written()

    def export(self, index: StoreIndex | None, limit: Deadline) -> WindowCollection:
        """Write the differing parts and their export; return the collection's description."""
        what = f"export of {self._collection}"
        require_time(limit, what)
        with open_content(self._store, self._profile, self._engine) as content:
            indexed, digests = indexed_of(content, self._collection, index, self._pace)
            for part, digest in enumerate(digests):
                self._parts[part] = WindowPart(
                    bound=indexed.division[part], records=digest.records, total=f"{digest.total:x}"
                )
            differing = [part for part, digest in enumerate(digests) if digest != indexed.digests[part]]
            if differing:
                with (
                    new_blocks(self._now) as now,
                    new_blocks(self._exported) as exported,
                    open_export(self._store, self._profile, self._engine) as export,
                ):
                    found = live_parts(content, indexed, differing, self._pace)
                    for part, records in found:
                        require_time(limit, what)
                        written = self._compare(part, records, indexed, now)
                        if written:
                            self._write(export, indexed, part, written, exported)
        return WindowCollection(
            number=self._number,
            parts=tuple(self._parts[part] for part in range(len(indexed.division))),
            indexed=indexed.index is not None,
            file=self.file if self._lines else "",
            lines=self._lines,
            new=self._written.new,
            changed=self._written.changed,
            gone=self._written.gone,
        )

    def _compare(
        self, part: int, records: Iterator[RecordHash], indexed: Indexed, stream: IO[bytes]
    ) -> dict[Pair, list[str]]:
        """Write the part's current records to `stream`; return those to export, each "new" or "changed"."""
        counted = Counted(records)
        block = write_block(stream, counted)
        stream.flush()
        size = max(counted.digest.records, indexed.digests[part].records)
        written: dict[Pair, list[str]] = {}
        known = chain(
            indexed.before(part),
            *(w.exported(self._store, self._collection, indexed.division, part) for w in self._earlier),
        )
        for before, now in aligned(size, known, read_block(self._now, *block)):
            found = difference(before, now)
            changed = self._written.add(found)
            for record in found.written:
                change = "changed" if record.key in changed else "new"
                written.setdefault((record.key, record.hash), []).append(change)
        self._parts[part] = replace(
            self._parts[part],
            records=counted.digest.records,
            total=f"{counted.digest.total:x}",
            now=block,
        )
        return written

    def _write(
        self,
        export: RecordExport,
        indexed: Indexed,
        part: int,
        written: Mapping[Pair, list[str]],
        stream: IO[bytes],
    ) -> None:
        """Export a part's `written` records, and add each exported one to a block in `stream`."""
        path = self._folder / self.file
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        selection = Selection(self._collection, indexed.division, {part: frozenset(written)})

        def exported(lines: IO[bytes]) -> Iterator[RecordHash]:
            for record in export.export(selection, self._folder, self._pace):
                # Without a key, equal rows are indistinguishable: export only as many as are new.
                if changes := written[record.key, record.hash]:
                    lines.write(_line(record, changes.pop()))
                    self._lines += 1
                    yield RecordHash(record.key, record.hash)

        with os.fdopen(descriptor, "ab") as lines:
            block = write_block(stream, exported(lines))
            lines.flush()
            os.fsync(lines.fileno())
        self._parts[part] = replace(self._parts[part], exported=block)


def _line(record: ExportedRecord, change: str) -> bytes:
    fields = {
        "key": record.key,
        "change": change,
        "hash": f"{record.hash:x}",
        "content": record.content,
        "replay": record.replay,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")
