"""The application's own state, write side: a tar of each mount, with owners, permissions, links and times.

A mount is read through its service's container, which may run. To put it back, every container that can write
to it must be stopped. All of it is deleted first, so that no file of later stays.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import IO, cast

from pydantic import Field

from rollproof.engines.compose import PROJECT_LABEL
from rollproof.engines.engine import Container, ContainerEngine, Mount, mounts_at
from rollproof.engines.insides import asking
from rollproof.profile.sections import Model
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import Put, RecordKeeper, Restored, Writable, add_records
from rollproof.stores.mounts.descriptor import MountsProfile
from rollproof.stores.mounts.reader import File, HeldMount, MountsReader
from rollproof.stores.mounts.sqlite import Database
from rollproof.stores.package import Kept, read_details, read_package, write_package
from rollproof.stores.policy import policy_of
from rollproof.stores.snapshot import Snapshot
from rollproof.system.files import create_file

METHOD = "a tar of each mount"
ROOT = "volume"
"""The folder that the entries of a tar are below: see `rollback_actions.containers.volumes`."""


class _Held(Model):
    """A mount at the time of the backup: its tar, its volume or folder, and its content's digest.

    `nested` are the places of other mounts inside it. If `raw`, SQLite files are in it as they lay.
    """

    file: str
    kind: str
    source: str
    records: int
    digest: str
    nested: tuple[str, ...]
    raw: bool = False


class _MountsDetails(Model):
    """`held` are the mounts of the profile, `mounts` those that were there; `project` is compose's.

    In a safety copy, `left` are the tars of volumes and folders that a mount of the backup was of, and now is
    not.
    """

    held: list[str]
    project: str
    mounts: dict[str, _Held]
    left: dict[str, str] = Field(default_factory=dict)


class MountsKeeper(RecordKeeper):
    """Write side of the application's own state. See `StoreKeeper`."""

    _profile: MountsProfile
    _reader: MountsReader

    def __init__(self, writable: Writable[MountsProfile]) -> None:
        """Remember the engine."""
        super().__init__(writable)
        self._engine = cast("ContainerEngine", writable.engine)

    def back_up_indexed(self, folder: Path, index: Snapshot | None) -> Kept:
        """Write a tar of each mount; one with policy exact must not change meanwhile."""
        mounts = self._reader.mounts()
        kept = self._keep(folder, mounts, index)
        for name, held in mounts.items():
            exact = not policy_of(self._profile, name).allows_added
            if exact and self._digest(held) != kept.mounts[name].digest:
                raise self._failed(
                    "backup",
                    expected=f"files in {name} that nobody writes meanwhile",
                    observed="others at its end",
                    hint="stop what writes there, or give it the policy grows or volatile in the profile",
                )
        return self._sealed(folder, kept)

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """As `back_up`; nothing of the application runs, and mounts may be gone.

        What a restore of `backup` overwrites where its mounts were then is kept too.
        Releases rename a volume, or a service. Nothing mounts the old volume then, and only it may have what
        users added between the backup and that release.
        """
        countdown = self._whole.start()
        containers = self._engine.containers()
        there = [name for name in sorted(self._profile.held) if _mounted(name, containers)]
        mounts = {name: self._reader.found(name, containers) for name in there}
        kept = self._keep(folder, mounts, None, raw=True)
        of_then = _MountsDetails.model_validate(read_details(backup))
        left = {mount.name: mount for name in of_then.mounts if (mount := _left(name, of_then, containers))}
        files = {source: f"left-{number:04d}.tar" for number, source in enumerate(sorted(left))}
        images = [c.image_id for found in containers.values() for c in found]
        for source, file in files.items():
            self._control.keep_files(left[source], images, folder / file, deadline=countdown.left())
        return self._sealed(folder, kept.model_copy(update={"left": files}))

    def restore(self, folder: Path) -> Restored:
        """Make each mount equal to its tar, and verify that; a mount that the backup lacks is left alone.

        A volume that its service no longer mounts, or mounts under another name, is filled too. The service's
        container is re-created from the configuration of then.
        """
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        details = _MountsDetails.model_validate(package.details)
        self._expect_same(package, "places", sorted(details.held), sorted(self._profile.held))
        notes: list[str] = []
        records: dict[str, int] = {}
        containers = self._engine.containers()
        every = [container for found in containers.values() for container in found]
        for name in sorted(self._profile.held):
            kept = details.mounts.get(name)
            if kept is None:
                notes.append(f"{name} was not there at the backup, and is left as it is")
                continue
            records[name] = kept.records
            service, _, place = name.partition(":")
            held = self._reader.found(name, containers) if _mounted(name, containers) else None
            # Other mounts inside it are neither in the backup nor in a safety copy: they are not deleted.
            targets = {held.mount: held.nested} if held else {}
            if of_then := _left(name, details, containers):
                targets[of_then] = kept.nested
                notes.append(f"{kept.source} is filled too, which {service} mounted at {place} at the backup")
            if not targets:
                raise self._not_restored("no container that mounts it", of=name, expected="its mount")
            images = [container.image_id for container in (*containers.get(service, ()), *every)]
            for mount, nested in targets.items():
                archive = package.path(kept.file)
                self._control.replace_files(mount, images, archive, deadline=countdown.left(), spared=nested)
            if held and self._digest(held, raw=kept.raw) != kept.digest:
                raise self._not_restored("other files", of=name)
        return Restored(records, tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Give each file's tar to the engine, which unpacks it in the mount; its container may run."""
        held = self._reader.mounted(collection)
        project = held.container.labels.get(PROJECT_LABEL, "")

        def write(record: ExportedRecord) -> None:
            content, what = cast("Mapping[str, str]", record.content), f"files of {collection}"
            if "tar" not in content:
                observed = "a row of a SQLite file, which only the application may write to"
                hint = "write it by the application: its columns are in the export"
                raise self._failed("write", expected="a file", observed=observed, hint=hint)
            tar = folder / content["tar"]
            with tar.open("rb") as stream, asking(what, project, self._reach.deadline) as api:
                api.put_archive(held.container.id, held.mount.destination, stream)

        yield Put(write)

    def _keep(
        self, folder: Path, mounts: Mapping[str, HeldMount], index: Snapshot | None, *, raw: bool = False
    ) -> _MountsDetails:
        kept: dict[str, _Held] = {}
        projects = {held.container.labels.get(PROJECT_LABEL, "") for held in mounts.values()}
        for number, (name, held) in enumerate(mounts.items()):
            file = f"{number:04d}.tar"
            records = self._write(held, folder / file, raw=raw)
            add_records(index, name, records, attrgetter("key"), iter)
            kept[name] = _Held(
                file=file,
                kind=held.mount.kind,
                source=held.mount.name,
                records=len(records),
                digest=_digest_of(records),
                nested=held.nested,
                raw=raw,
            )
        return _MountsDetails(held=list(self._profile.held), project="".join(projects), mounts=kept)

    def _sealed(self, folder: Path, details: _MountsDetails) -> Kept:
        gone = [name for name in self._profile.held if name not in details.mounts]
        method = f"{METHOD}; not there: {', '.join(gone)}" if gone else METHOD
        if details.left:
            method += f"; and of {', '.join(details.left)}, where the backup had one"
        return write_package(
            folder,
            kind=self.kind,
            method=method,
            means=Means.FILES,
            records={name: held.records for name, held in details.mounts.items()},
            details=details.model_dump(),
        )

    def _write(self, held: HeldMount, path: Path, *, raw: bool) -> list[RecordHash]:
        """Write a mount's files into a tar; return their records, without fields.

        A SQLite file is whole in it, and none of its logs is. One that is damaged is refused.
        """
        records: list[RecordHash] = []
        with create_file(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:

            def keep(file: File, content: IO[bytes] | None) -> None:
                with self._reader.writing():
                    tar.addfile(file.below(ROOT), content)
                tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each

            with self._reader.files(held) as files:
                keep(next(files), None)
                for file, content in self._reader.seen(held, files, keep, raw=raw):
                    if isinstance(content, Database) and (damage := content.damage()):
                        raise self._failed(
                            "backup",
                            expected=f"ok of integrity_check of {file.path} in {held.name}",
                            observed=damage,
                            hint="mend it, such as by REINDEX, or put back the file of an older backup",
                        )
                    for record, _ in self._reader.records_of(held.name, file, content):
                        records.append(RecordHash(record.key, record.hash))
        return records

    def _digest(self, held: HeldMount, *, raw: bool = False) -> str:
        with self._reader.files(held) as files:
            seen = self._reader.seen(held, files, raw=raw)
            found = (self._reader.records_of(held.name, file, content) for file, content in seen)
            return _digest_of(record for records in found for record, _ in records)


def _mounted(name: str, containers: Mapping[str, Sequence[Container]]) -> list[Mount]:
    """Return what the service of a mount has at its place: nothing, or the same in each replica."""
    service, _, place = name.partition(":")
    return list(mounts_at(containers.get(service, ()), place))


def _left(name: str, of_then: _MountsDetails, containers: Mapping[str, Sequence[Container]]) -> Mount | None:
    """Return what was mounted as `name` at the backup, if that is of this project and not mounted so now."""
    kept, place = of_then.mounts[name], name.partition(":")[2]
    projects = {c.labels.get(PROJECT_LABEL, "") for found in containers.values() for c in found}
    if of_then.project not in projects or kept.source in {mount.name for mount in _mounted(name, containers)}:
        return None
    return Mount(kept.source, kept.kind, place, kept.source)


def _digest_of(records: Iterable[RecordHash]) -> str:
    """Return the sum of the records' hashes in hexadecimal."""
    return f"{sum(record.hash for record in records):x}"
