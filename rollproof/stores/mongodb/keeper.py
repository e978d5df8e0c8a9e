"""MongoDB, write side: collections kept as raw bytes, and put back byte for byte.

A backup holds ``collections.bson``, one document for each collection or view: the server's description
with its indexes. Each collection also has one file with its documents, one after the other. Nothing is
decoded on the way, so that every number keeps its type and every field its place.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import (
    ConnectedClient,
    Operated,
    Put,
    Restored,
    StoreKeeper,
    blind,
    host_of,
    strangers,
)
from rollproof.stores.mongodb.bson import RAW
from rollproof.stores.mongodb.client import UNAUTHORIZED, Document, Mongodb, lets_in_anybody, marks_of, moment
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mongodb.schema import Description, descriptions
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.stores.reach import Reach
from rollproof.system.files import create_file

COLLECTIONS = "collections.bson"
BUCKETS = "system.buckets."
# Bytes of documents that go to the server at a time; its own limit for one message is 48 MB.
BATCH_BYTES = 16_000_000
_DURABLE = WriteConcern(w="majority", j=True)


class MongodbKeeper(StoreKeeper):
    """The write side of a MongoDB server. See `StoreKeeper`."""

    _profile: MongodbProfile

    def back_up(self, folder: Path) -> Kept:
        """Write every document of the profile's databases as of one moment, with options and indexes."""
        with self._connected() as client:
            before = self._describe(client)
            marks = marks_of(client)
            records = {}
            with moment(client) as session:
                for one in before:
                    if one.kind != "view":
                        # The server refuses to read a capped collection as of a moment.
                        at = None if one.capped else session
                        records[one.full_name] = self._dump(client, at, one, folder / _file(before, one))
            if self._describe(client) != before:
                raise self._failed(
                    "backup",
                    expected="collections, options and indexes that stay as they are meanwhile",
                    observed="another set of them at its end",
                    hint="stop the application or its migration, and take the backup again",
                )
        with create_file(folder / COLLECTIONS) as stream:
            for one in before:
                stream.write(bson.encode(vars(one)))
        return write_package(
            folder,
            kind=self.kind,
            method=_method(before, snapshot=session is not None),
            means=Means.DOCUMENTS,
            records=records,
            details={**marks, "databases": sorted(self._profile.databases)},
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the content of the profile's databases, and create each collection of the backup again."""
        package = read_package(folder, kind=self.kind)
        self._expect_same(package, "databases", package.details["databases"], sorted(self._profile.databases))
        with open_regular(package.path(COLLECTIONS)) as stream:
            kept = [Description(**one) for one in bson.decode_file_iter(stream, codec_options=RAW)]
        with self._connected() as client:
            self._expect_readable(package, marks_of(client))
            notes = self._drop(client, kept)
            for one in sorted(kept, key=lambda one: one.kind == "view"):
                self._create(client, package, one, _file(kept, one))
            self._verify(client, package, kept)
        return Restored(records=package.records, notes=tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Write each document's own bytes, past the collection's validator."""
        database, _, name = collection.partition(".")
        with self._client(self._reach) as mongodb:
            with mongodb.asked() as client:
                made = client[database].get_collection(name, write_concern=_DURABLE)
                # A time series has no unique key to replace or delete by.
                keyed = "timeseries" not in made.options()

            def write(record: ExportedRecord) -> None:
                document = RawBSONDocument(b64decode(str(record.replay)), RAW)
                with mongodb.asked():
                    if overwrite and keyed:
                        key = {"_id": document["_id"]}
                        made.replace_one(key, document, upsert=True, bypass_document_validation=True)
                    else:
                        made.insert_one(document, bypass_document_validation=True)

            def remove(record: ExportedRecord) -> None:
                document = RawBSONDocument(b64decode(str(record.replay)), RAW)
                with mongodb.asked():
                    made.delete_one({"_id": document["_id"]})

            yield Put(write, remove=remove if keyed else None)

    def _client(self, reach: Reach) -> Mongodb:
        return Mongodb(reach, self._profile.authentication_database)

    @contextmanager
    def _connected(self) -> Iterator[MongoClient[Document]]:
        """Yield a client, whose requests have the deadline of a whole backup or restore together."""
        with self._client(self._whole) as mongodb, mongodb.asked() as client:
            yield client

    def _describe(self, client: MongoClient[Document]) -> list[Description]:
        return list(descriptions(client, self._profile.databases))

    def _dump(
        self, client: MongoClient[Document], session: ClientSession | None, one: Description, path: Path
    ) -> int:
        """Write the documents of a collection and return their number of records."""
        count = 0
        with create_file(path) as stream:
            for batch in _raw(client, one, session):
                stream.write(batch)
                count += len(bson.decode_all(batch, RAW))
        if one.kind == "timeseries":  # its documents are buckets of records
            return int(client[one.database][one.name].count_documents({}, session=session))
        return count

    def _drop(self, client: MongoClient[Document], kept: Iterable[Description]) -> list[str]:
        """Drop every collection and view; return a note for each that the backup does not have."""
        names = {one.full_name for one in kept}
        notes = []
        for one in sorted(self._describe(client), key=lambda one: one.kind != "view"):
            client[one.database].drop_collection(one.name)
            if one.full_name not in names:
                notes.append(f"dropped {one.full_name}, which came after the backup")
        return notes

    def _create(self, client: MongoClient[Document], package: Package, one: Description, file: str) -> None:
        database = client[one.database]
        try:
            database.command({"create": one.name, **dict(one.options.items())})
            if one.kind == "view":
                return
            durable = database.get_collection(_source(one), write_concern=_DURABLE)
            for batch in _batches(package.path(file)):
                durable.insert_many(batch, bypass_document_validation=True)
            if one.expires:
                # Once its index is there, the server may remove documents that have expired since the backup.
                self._expect_documents(client, package, one, file)
            made = {str(index["name"]) for index in database[one.name].list_indexes()}
            missing = [_index(one, index) for index in one.indexes if index["name"] not in made]
            if missing:
                database.command({"createIndexes": one.name, "indexes": missing})
        except PyMongoError as error:
            if error.timeout:
                raise
            # The rest of the server's words has documents in it.
            raise self._not_restored(str(error).split(", full error:")[0], of=one.full_name) from None

    def _verify(self, client: MongoClient[Document], package: Package, kept: Sequence[Description]) -> None:
        """Read everything back: descriptions, and documents in their order, byte for byte."""
        observed = {one.full_name: one for one in self._describe(client)}
        for one in kept:
            there = observed.pop(one.full_name, None)
            if there != one:
                words = "other options or indexes" if there else "no collection"
                raise self._not_restored(words, of=one.full_name)
            if one.kind != "view" and not one.expires:
                self._expect_documents(client, package, one, _file(kept, one))
        for one in observed.values():
            raise self._not_restored("a collection that appeared meanwhile", of=one.full_name)

    def _expect_documents(
        self, client: MongoClient[Document], package: Package, one: Description, file: str
    ) -> None:
        digest = hashlib.sha256()
        for batch in _raw(client, one):
            digest.update(batch)
        if digest.hexdigest() != package.files[file].sha256:
            raise self._not_restored("other documents, or documents in another order", of=one.full_name)


def _file(kept: Sequence[Description], one: Description) -> str:
    """Return the file of a backup with the documents of `one`, by its place."""
    return f"{kept.index(one):05}.bson"


def _method(kept: Iterable[Description], *, snapshot: bool) -> str:
    if not snapshot:
        return "raw BSON of each document, one collection after the other (no snapshot: no replica set)"
    capped = [one.full_name for one in kept if one.capped]
    besides = f", except capped {', '.join(capped)}" if capped else ""
    return f"raw BSON of each document, read at one moment (snapshot session){besides}"


def _index(one: Description, index: RawBSONDocument) -> Document:
    # An index that compares bytes is described without a collation, and would inherit the collection's.
    simple = {"collation": {"locale": "simple"}} if "collation" in one.options else {}
    return {**simple, **dict(index.items())}


def _source(one: Description) -> str:
    """Return the name of the collection with the documents: a time series is kept as its buckets."""
    return f"{BUCKETS}{one.name}" if one.kind == "timeseries" else one.name


def _raw(
    client: MongoClient[Document], one: Description, session: ClientSession | None = None
) -> Iterator[bytes]:
    batches = client[one.database][_source(one)].find_raw_batches({}, session=session)
    # By the driver's annotations a raw batch is a document; in fact it is bytes.
    yield from cast("Iterable[bytes]", batches)


def _batches(path: Path) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    with open_regular(path) as stream:
        for document in bson.decode_file_iter(stream, codec_options=RAW):
            if batch and size + len(document.raw) > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(document)
            size += len(document.raw)
    if batch:
        yield batch


# The account that the members of a replica set use among themselves.
_SYSTEM = "__system"
# What a client is called that has not logged in, at a server where nobody has to.
_NOBODY = "nobody"
# The drivers that servers use among themselves.
_SERVERS = ("NetworkInterfaceTL", "MongoDB Internal Client")
_PIPELINE = (
    {"$currentOp": {"allUsers": True, "idleConnections": True}},
    {"$match": {"client": {"$exists": True}}},
    {"$project": {"client": 1, "effectiveUsers": 1, "appName": 1, "clientMetadata.driver.name": 1}},
)


class MongodbClients:
    """The clients of one MongoDB server. See `StoreClients`."""

    def __init__(self, operated: Operated[MongodbProfile]) -> None:
        """Remember how to connect; the first question connects."""
        self._operated = operated
        self._client = Mongodb(operated.reach, operated.profile.authentication_database)
        self._open: bool | None = None

    def others(self) -> list[ConnectedClient]:
        """Return the connections of others, idle ones included."""
        reach = self._client.reach
        if self._open is None:
            self._open = lets_in_anybody(reach)
        with self._client.asked() as client:
            try:
                found = list(client.admin.aggregate(list(_PIPELINE)))
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                raise blind(reach, "the action inprog (role clusterMonitor)", "not authorised") from None
        return strangers(
            self._operated, [client for one in found for client in _clients(one, everybody=self._open)]
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _clients(operation: Mapping[str, Any], *, everybody: bool) -> list[ConnectedClient]:
    """Return a connection's clients; one without a log-in has none, unless `everybody` may write.

    Where they must log in, drivers keep such a connection next to the others, to watch the server.
    """
    host = host_of(str(operation["client"]))
    users = [str(user["user"]) for user in operation.get("effectiveUsers") or ()]
    driver = str(((operation.get("clientMetadata") or {}).get("driver") or {}).get("name", ""))
    if everybody and not users and not driver.startswith(_SERVERS):
        users = [_NOBODY]
    name = str(operation.get("appName", ""))
    return [ConnectedClient(user, host, name) for user in users if user != _SYSTEM]
