"""Qdrant, write side: a snapshot of each collection, its configuration and its aliases.

The snapshots are of one node. Each is of one moment, but not all of the same one. Counts before and after
show that nothing was written meanwhile.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from rollproof.profile.sections import Model
from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper, Writable
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.policy import policy_of
from rollproof.stores.qdrant.client import Rest, path_of, point_id
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Countdown
from rollproof.system.files import create_file

METHOD = "snapshot of each collection"
# What a server without such a path answers: it has no cluster.
_NO_CLUSTER = frozenset({404, 405, 501})


class _Collection(Model):
    """A collection at the time of the backup: its snapshot, and what `Rest.described` said of it."""

    file: str
    sha256: str
    shape: tuple[dict[str, Any], dict[str, Any]]


class _QdrantDetails(Model):
    """`aliases` maps an alias to its collection."""

    server: str
    aliases: dict[str, str]
    collections: dict[str, _Collection]


class QdrantKeeper(StoreKeeper):
    """Write side of one Qdrant. See `StoreKeeper`."""

    _profile: QdrantProfile

    def __init__(self, writable: Writable[QdrantProfile]) -> None:
        """Remember how to connect."""
        super().__init__(writable)
        self._rest = Rest(writable.reach)

    def back_up(self, folder: Path) -> Kept:
        """Have a snapshot made of each collection, fetch it and delete it on the server.

        Where users may add points, their number must stay the same while that one snapshot is made; elsewhere
        until all are.
        """
        countdown = self._whole.start()
        self._require_one_node()
        before, records, collections = self._counts(), dict[str, int](), dict[str, _Collection]()
        for number, name in enumerate(before):
            file = folder / f"{number:04}.snapshot"
            while name not in records:
                count, collection = self._rest.count(name), self._fetch(name, file, countdown)
                if not policy_of(self._profile, name).allows_added or self._rest.count(name) == count:
                    records[name], collections[name] = count, collection
                else:
                    file.unlink()
        aliases, after = self._aliases(before), self._counts()
        if self._exact(before) != self._exact(after) or self._exact(before) != self._exact(records):
            raise self._failed(
                "collections during the backup",
                expected=before,
                observed=after,
                hint="something writes: stop the application's writers first",
            )
        details = _QdrantDetails(server=self._rest.version(), aliases=aliases, collections=collections)
        return write_package(
            folder,
            kind=self.kind,
            method=METHOD,
            means=Means.COLLECTIONS,
            records=records,
            details=details.model_dump(),
        )

    def restore(self, folder: Path) -> Restored:
        """Bring back each collection and alias of the backup; delete newer collections.

        Only collections that the profile's patterns choose are deleted. Each collection is replaced in one
        step. It is deleted first if its configuration differs, since Qdrant would refuse the snapshot.
        """
        countdown = self._whole.start()
        package = read_package(folder, kind=self.kind)
        recorded = _QdrantDetails.model_validate(package.details)
        notes = self._remove_aliases(recorded)
        for name, collection in sorted(recorded.collections.items()):
            self._send(name, collection, package, countdown)
        for name in self._rest.collections(self._profile.collections):
            if name not in recorded.collections:
                self._rest.within(countdown.left()).call("DELETE", path_of(name))
                notes.append(f"collection {name} came after the backup and was deleted")
        self._create_aliases(recorded)
        self._expect_back(recorded, package.records)
        return Restored(records=package.records, notes=tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Write each point as it was exported; the server replaces one of the same id."""
        points = f"{path_of(collection)}/points"

        def write(record: ExportedRecord) -> None:
            self._rest.call("PUT", f"{points}?wait=true", {"points": [record.content]})

        def remove(record: ExportedRecord) -> None:
            self._rest.call("POST", f"{points}/delete?wait=true", {"points": [point_id(record.key)]})

        yield Put(write, remove=remove)

    def _exact(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return the counts of the collections that users add nothing to."""
        return {
            name: count for name, count in counts.items() if not policy_of(self._profile, name).allows_added
        }

    def _require_one_node(self) -> None:
        """Refuse a cluster: a snapshot is of one node."""
        cluster = self._rest.call("GET", "/cluster", absent=_NO_CLUSTER) or {}
        peers = len(cluster.get("peers") or {})
        if peers > 1:
            raise self._failed(
                "backup",
                expected="a server alone",
                observed=f"a cluster of {peers} nodes",
                hint="shards of other nodes would be missing: a cluster is not supported",
            )

    def _fetch(self, name: str, file: Path, countdown: Countdown) -> _Collection:
        shape = self._rest.described(name)
        path = f"{path_of(name)}/snapshots"
        snapshot = self._rest.within(countdown.left()).call("POST", f"{path}?wait=true")
        address = f"{path}/{quote(snapshot['name'], safe='')}"
        try:
            with create_file(file) as stream:
                sha256 = self._rest.within(countdown.left()).download(address, stream)
        finally:
            self._rest.call("DELETE", f"{address}?wait=true")
        # Servers before 1.8 give no checksum; all give the size.
        expected = (snapshot["size"], snapshot.get("checksum") or sha256)
        observed = (file.stat().st_size, sha256)
        if observed != expected:
            raise self._failed(
                f"snapshot of {name}",
                expected=f"{expected[0]} bytes with SHA-256 {expected[1]}",
                observed=f"{observed[0]} bytes with SHA-256 {observed[1]}",
                hint="it was cut or changed on its way: back up again",
            )
        return _Collection(file=file.name, sha256=sha256, shape=shape)

    def _send(self, name: str, collection: _Collection, package: Package, countdown: Countdown) -> None:
        present = self._rest.collections(["*"])
        if name in present and self._rest.described(name) != collection.shape:
            self._rest.within(countdown.left()).call("DELETE", path_of(name))
        query = urlencode({"wait": "true", "priority": "snapshot", "checksum": collection.sha256})
        with open_regular(package.path(collection.file)) as stream:
            path = f"{path_of(name)}/snapshots/upload?{query}"
            self._rest.within(countdown.left()).call("POST", path, files={"snapshot": stream})

    def _counts(self) -> dict[str, int]:
        """Return the number of points of each of the profile's collections."""
        return {name: self._rest.count(name) for name in self._rest.collections(self._profile.collections)}

    def _aliases(self, collections: Container[str]) -> dict[str, str]:
        """Return the aliases of `collections`."""
        return {alias: name for alias, name in self._rest.aliases().items() if name in collections}

    def _remove_aliases(self, recorded: _QdrantDetails) -> list[str]:
        """Remove the aliases that the backup does not have; return notes on the removed ones.

        This comes first: an alias with the name of a backed-up collection would receive its snapshot.
        """
        ours = self._rest.collections(self._profile.collections)
        doomed = {
            alias: name
            for alias, name in self._rest.aliases().items()
            if (name in ours or alias in recorded.collections) and recorded.aliases.get(alias) != name
        }
        self._change_aliases([{"delete_alias": {"alias_name": alias}} for alias in doomed])
        return [
            f"alias {alias} of {name} came after the backup and was deleted" for alias, name in doomed.items()
        ]

    def _create_aliases(self, recorded: _QdrantDetails) -> None:
        present = self._rest.aliases()
        self._change_aliases(
            [
                {"create_alias": {"alias_name": alias, "collection_name": name}}
                for alias, name in recorded.aliases.items()
                if present.get(alias) != name
            ]
        )

    def _change_aliases(self, actions: list[dict[str, Any]]) -> None:
        if actions:
            self._rest.call("POST", "/collections/aliases", {"actions": actions})

    def _expect_back(self, recorded: _QdrantDetails, records: Mapping[str, int]) -> None:
        """Compare counts, aliases and configurations with the backup's."""
        counts = self._counts()
        sides: dict[str, tuple[object, object]] = {
            "counts": (dict(records), counts),
            "aliases": (recorded.aliases, self._aliases(counts)),
        }
        # Another version of the server may report the same configuration in other words.
        if self._rest.version() == recorded.server:
            wanted = {name: collection.shape for name, collection in recorded.collections.items()}
            sides["configurations"] = wanted, {name: self._rest.described(name) for name in counts}
        for what, (expected, observed) in sides.items():
            if observed != expected:
                raise self._not_restored(str(observed), of=what, expected=str(expected))
