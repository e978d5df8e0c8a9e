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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from shlex import quote
from typing import Annotated

from rollproof.backups.sets import every_field, existing_collections
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Problem, UsageProblem, reason_of
from rollproof.home import typed
from rollproof.losses.changes import Divided, Written, divided, require_time
from rollproof.profile.profile import Target
from rollproof.reading import open_regular
from rollproof.record_names import LOST_WINDOW, REVIVED
from rollproof.stores.contract import ExportedRecord, RecordHash, Selection
from rollproof.stores.policy import pace_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ExporterOpener, ReaderOpener, open_exporter, open_reader
from rollproof.stores.snapshot import Snapshot, differences
from rollproof.system.command import Deadline
from rollproof.system.files import sync_folder, sync_tree, write_whole
from rollproof.system.record_files import Must, Natural, WrongRecord, load_record, write_record
from rollproof.system.side_by_side import each

RECORDS = "records.db"
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
- It lists the records that could not be put back, with the reasons.
- What users had deleted since the backup came back with the restore: revived.jsonl of a store names it, and
  `replay --deletions` deletes it again, after it has listed it and asked.

The command for each file:

"""
Pair = tuple[str, int]
"""Key and hash of a record."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class WindowCollection:
    """What was written to one collection since the backup; its `file` of so many `lines`, "" without any."""

    file: str
    lines: Natural
    new: Natural
    changed: Natural
    gone: Natural


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

    def records(self, store: str) -> Snapshot:
        """Return the records of a store, right before the restore and exported by then."""
        return Snapshot(self.folder / store / RECORDS)


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
    """The file of JSON lines of one collection in a lost window; `snapshot` has the store's records then."""

    path: Path
    store: str
    collection: str
    lines: int
    snapshot: Snapshot

    @property
    def division(self) -> tuple[str, ...]:
        """The bounds of the collection's parts right before the restore."""
        return self.snapshot.division(self.collection, "before")

    @property
    def parts(self) -> list[int]:
        """The parts of the division that the exported records are in."""
        return [
            part.number for part in self.snapshot.parts(self.collection, "exported") if part.digest.records
        ]

    def before(self) -> Counter[Pair]:
        """Return key and hash of all records in `parts`, before the restore. Equal rows repeat."""
        each_part = (self.snapshot.records(self.collection, part, "before") for part in self.parts)
        return pairs(chain.from_iterable(each_part))

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

    def check(self) -> Counter[Pair]:
        """Return the pairs of key and hash of its records.

        Raises:
            UsageProblem: they are not those that the window has exported.
        """
        found = Counter((record.key, record.hash) for record in self.records())
        if found != pairs(self.snapshot.records(self.collection, None, "exported")):
            raise self._not_as_exported(f"{found.total():,} records, which differ from the exported ones")
        return found

    def _not_as_exported(self, observed: str) -> UsageProblem:
        return UsageProblem(
            what=f"exported records of {self.store}",
            expected=f"the {self.lines:,} lines of the export, unchanged",
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
            return ExportedFile(file, name, collection, described.lines, window.records(name))
    raise UsageProblem(
        what="exported records",
        expected=f"a file of lines that {MANIFEST} of its lost window names",
        observed=f"{name}/{file.name}",
        source=str(file),
        hint="README.txt of the lost window has the command for each of its files",
    )


def read_revived(file: Path) -> dict[str, frozenset[Pair]]:
    """Return the records that `file`, the `REVIVED` of a store, names by collection.

    Raises:
        UsageProblem: it is no such file, or was cut off.
    """
    found: dict[str, set[Pair]] = {}
    try:
        with open_regular(file) as lines:
            for line in lines:
                one = json.loads(line)
                found.setdefault(str(one["collection"]), set()).add((str(one["key"]), int(one["hash"], 16)))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageProblem(
            what="records that came back with a restore",
            expected=f"{REVIVED} of a store in the lost window of an incident",
            observed=f"{type(error).__name__}: {error}",
            source=str(file),
            hint=f"name it: incidents/INCIDENT/lost-window/STORE/{REVIVED}",
        ) from None
    return {collection: frozenset(pairs) for collection, pairs in found.items()}


def export_store(
    target: Target,
    engine: ContainerEngine,
    name: str,
    index: Snapshot | None,
    earlier: Sequence[LostWindow],
    folder: Path,
    limit: Deadline,
    open_reader: ReaderOpener = open_reader,
    open_exporter: ExporterOpener = open_exporter,
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
    with on_disk(folder), ExitStack() as opened:
        snapshot = opened.enter_context(Snapshot(folder / RECORDS, new=True))
        try:
            names = existing_collections(name, profile, engine, open_reader)
        except Problem as problem:
            return WindowStore(collections={}, unknown={name: problem.summary})
        windows = [opened.enter_context(window.records(name)) for window in earlier if name in window.stores]

        def exported(numbered: tuple[int, str]) -> WindowCollection | str:
            number, collection = numbered
            file = f"{number:04d}-{_UNSAFE.sub('_', collection)[:80]}.jsonl"
            try:
                with (
                    on_disk(folder),
                    open_reader(name, profile, engine) as content,
                    open_exporter(name, profile, engine) as export,
                ):
                    require_time(limit, f"export of {collection}")
                    found = divided(content, collection, index, pace_of(profile))
                    alike = [one for one in windows if found.division == one.division(collection, "before")]
                    return _Exporter(found, export, snapshot, alike, folder / file).export(limit)
            except ActionFailed:
                raise
            except Problem as problem:
                return problem.summary

        found = each(exported, enumerate(names), workers=profile.load.connections, name="export")
    return WindowStore(
        collections={key: value for (_, key), value in found.items() if isinstance(value, WindowCollection)},
        unknown={key: value for (_, key), value in found.items() if isinstance(value, str)},
    )


@dataclass(slots=True)
class _Exporter:
    """Exports what was written to one collection into the file of lines `path`."""

    divided: Divided
    records: Reader
    snapshot: Snapshot
    earlier: Sequence[Snapshot]
    path: Path
    lines: int = 0
    written: Written = field(default_factory=Written)

    def export(self, limit: Deadline) -> WindowCollection:
        """Write the differing parts and their export; return the collection's description."""
        name, division, kept = self.divided.collection, self.divided.division, self.divided.kept
        for number, records in self.divided.written():
            require_time(limit, f"export of {name}")
            before = (name, number, division[number], records)
            if self.snapshot.add(*before, time="before", held=kept[number]) == kept[number]:
                continue
            exported = self._exported(number, self._wanted(number))
            self.snapshot.add(name, number, division[number], exported, time="exported")
        for number in self.divided.same:
            self.snapshot.add(name, number, division[number], (), time="before", digest=kept[number])
        file = self.path.name if self.lines else ""
        return WindowCollection(file, self.lines, self.written.new, self.written.changed, self.written.gone)

    def _wanted(self, part: int) -> dict[Pair, list[str]]:
        """Return a part's records, each "new" or "changed", that no index and no earlier window has."""
        wanted: dict[Pair, list[str]] = {}
        name = self.divided.collection
        known = [self.divided.before(part)]
        known += [window.records(name, part, "exported") for window in self.earlier]
        for found in differences(chain(*known), self.snapshot.records(name, part, "before")):
            self.written.add(found)
            for record in found.come:
                change = "changed" if found.gone else "new"
                wanted.setdefault((record.key, record.hash), []).append(change)
        return wanted

    def _exported(self, part: int, wanted: Mapping[Pair, list[str]]) -> Iterator[RecordHash]:
        """Append a part's `wanted` records to the file of lines, and yield them."""
        if not wanted:
            return
        selection = Selection(self.divided.collection, self.divided.division, {part: frozenset(wanted)})
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as lines:
            for record in self.records.export(selection, self.path.parent, self.divided.pace):
                # Without a key, equal rows are indistinguishable: export only as many as are new.
                if changes := wanted[record.key, record.hash]:
                    lines.write(_line(record, changes.pop()))
                    self.lines += 1
                    yield RecordHash(record.key, record.hash)


def pairs(records: Iterable[RecordHash]) -> Counter[Pair]:
    """Count records by key and hash."""
    return Counter((record.key, record.hash) for record in records)


def _line(record: ExportedRecord, change: str) -> bytes:
    fields = {
        "key": record.key,
        "change": change,
        "hash": f"{record.hash:x}",
        "content": record.content,
        "replay": record.replay,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")
