"""MongoDB, write side: collections kept as raw bytes, and put back byte for byte.

A backup holds ``collections.bson``, one document for each collection or view: the server's description
with its indexes. Each collection also has one file with its documents, one after the other. Nothing is
decoded on the way, so that every number keeps its type and every field its place.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import bson
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Written
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from rollproof.profile.store_descriptor import Means
from rollproof.reading import open_regular
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.mongodb.bson import LENIENT, key_of, split_stream
from rollproof.stores.mongodb.client import Document, connect, holds_data, marks_of, require_primary, within
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.package import Kept, Package, read_package, write_package
from rollproof.system.files import create_file

COLLECTIONS = "collections.bson"
BUCKETS = "system.buckets."
# Bytes of documents that go to the server at a time; its own limit for one message is 48 MB.
BATCH_BYTES = 16_000_000
# Decodes any value that a server may hold, if the driver has to look into a document.
_ANY = LENIENT.with_options(document_class=RawBSONDocument)
# Matches a document that may hold a timestamp of zero, which the server replaces on insert.
ZERO_TIMESTAMP = re.compile(rb"\x11[^\x00]+\x00\x00{8}")


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection or view as the server describes it; every description is raw BSON.

    `file` is None for a view. A time series is kept as its buckets, which `source` names.
    """

    database: str
    name: str
    kind: str
    options: RawBSONDocument
    indexes: tuple[RawBSONDocument, ...]
    file: str | None

    @property
    def full_name(self) -> str:
        """Database and name, as `Reader.counts` has them."""
        return f"{self.database}.{self.name}"

    @property
    def source(self) -> str:
        """The name of the collection that holds its documents."""
        return f"{BUCKETS}{self.name}" if self.kind == "timeseries" else self.name

    def same_description(self, other: Collection) -> bool:
        """Return True if both have the same kind, options and indexes, the latter in any order."""
        return (
            self.kind == other.kind
            and self.options.raw == other.options.raw
            and {index.raw for index in self.indexes} == {index.raw for index in other.indexes}
        )


class Keeper(StoreKeeper):
    """The write side of a MongoDB server. See `StoreKeeper`."""

    _profile: MongodbProfile

    def back_up(self, folder: Path) -> Kept:
        """Write every document of the profile's databases as of one moment, with options and indexes."""
        with self._connected() as (client, server):
            before = self._describe(client)
            told = marks_of(client)
            records = {}
            with _snapshot(client, server) as session:
                for collection in before:
                    if collection.file is not None:
                        # The server refuses to read a capped collection as of a moment.
                        moment = None if _capped(collection) else session
                        records[collection.full_name] = self._dump(client, moment, collection, folder)
            if not _same(before, self._describe(client)):
                raise self._failed(
                    "backup",
                    expected="collections, options and indexes that stay as they are meanwhile",
                    observed="another set of them at its end",
                    hint="stop the application or its migration, and take the backup again",
                )
        with create_file(folder / COLLECTIONS) as stream:
            for collection in before:
                stream.write(bson.encode(_to_document(collection)))
        return write_package(
            folder,
            kind=self.kind,
            method=_method(server, before),
            means=Means.DOCUMENTS,
            records=records,
            details={**told, "databases": sorted(self._profile.databases)},
        )

    def restore(self, folder: Path) -> Restored:
        """Drop the content of the profile's databases, and create each collection of the backup again."""
        package = read_package(folder, kind=self.kind)
        collections = self._check(package)
        with self._connected() as (client, _):
            self._expect_readable(package, marks_of(client))
            notes = self._drop(client, collections)
            for collection in sorted(collections, key=lambda c: c.kind == "view"):
                self._create(client, package, collection)
            self._verify(client, package, collections)
        return Restored(records=package.records, notes=tuple(notes))

    @contextmanager
    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> Iterator[Put]:
        """Write each document's own bytes, past the collection's validator."""
        database, _, name = collection.partition(".")
        with connect(self._reach, self._profile.authentication_database) as client:
            with within(self._reach):
                require_primary(client, self._reach)
                options = client[database].get_collection(name).options()
            # A time series has no unique key to replace by.
            replaces = overwrite and "timeseries" not in options
            durable = client[database].get_collection(name, write_concern=WriteConcern(w="majority", j=True))

            def write(record: ExportedRecord) -> None:
                raw = b64decode(str(record.replay))
                document = RawBSONDocument(raw, _ANY)
                with within(self._reach):
                    if replaces:
                        key = RawBSONDocument(key_of(raw), _ANY)
                        durable.replace_one(key, document, upsert=True, bypass_document_validation=True)
                    else:
                        durable.insert_one(document, bypass_document_validation=True)
                    _set_zero_timestamps(durable, document)

            yield Put(write)

    @contextmanager
    def _connected(self) -> Iterator[tuple[MongoClient[Document], Document]]:
        """Yield a client and the server's description of itself; the server must be able to take writes."""
        with within(self._whole), connect(self._whole, self._profile.authentication_database) as client:
            require_primary(client, self._whole)
            yield client, client.admin.command("hello")

    def _describe(self, client: MongoClient[Document]) -> list[Collection]:
        """Return every collection and view of the profile's databases, as the server describes them."""
        found: list[Collection] = []
        for database in sorted(self._profile.databases):
            described = _answers(client[database], "listCollections", 1)
            for description in sorted(described, key=lambda d: str(d["name"])):
                name, kind = str(description["name"]), str(description["type"])
                if kind == "view":
                    found.append(Collection(database, name, kind, description["options"], (), None))
                elif holds_data(description):
                    indexes = tuple(_answers(client[database], "listIndexes", name))
                    file = f"{len(found):05}.bson"
                    found.append(Collection(database, name, kind, description["options"], indexes, file))
        return found

    def _dump(
        self,
        client: MongoClient[Document],
        session: ClientSession | None,
        collection: Collection,
        folder: Path,
    ) -> int:
        """Write the documents of `collection` and return their number of records."""
        database, count = client[collection.database], 0
        with create_file(folder / str(collection.file)) as stream:
            for batch in _raw(database[collection.source].find_raw_batches({}, session=session)):
                stream.write(batch)
                count += len(split_stream(batch))
        if collection.kind == "timeseries":  # its documents are buckets of records
            return int(database[collection.name].count_documents({}, session=session))
        return count

    def _check(self, package: Package) -> list[Collection]:
        """Return the collections of a backup; raises `ActionFailed` if it is of other databases."""
        self._expect_same(package, "databases", package.details["databases"], sorted(self._profile.databases))
        with open_regular(package.path(COLLECTIONS)) as stream:
            documents = bson.decode_file_iter(stream, codec_options=DEFAULT_RAW_BSON_OPTIONS)
            return [_from_document(document) for document in documents]

    def _drop(self, client: MongoClient[Document], kept: Iterable[Collection]) -> list[str]:
        """Drop every collection and view; return a note for each that the backup does not have."""
        names = {collection.full_name for collection in kept}
        notes = []
        for collection in sorted(self._describe(client), key=lambda c: c.kind != "view"):
            client[collection.database].drop_collection(collection.name)
            if collection.full_name not in names:
                notes.append(f"dropped {collection.full_name}, which came after the backup")
        return notes

    def _create(self, client: MongoClient[Document], package: Package, collection: Collection) -> None:
        database = client[collection.database]
        try:
            database.command({"create": collection.name, **dict(collection.options.items())})
            if collection.file is None:
                return
            self._insert(client, package.path(collection.file), collection)
            if _expires(collection):
                # Once its index is there, the server may remove documents that have expired since the backup.
                self._expect_documents(client, package, collection)
            made = {str(index["name"]) for index in database[collection.name].list_indexes()}
            missing = [_index(collection, index) for index in collection.indexes if index["name"] not in made]
            if missing:
                database.command({"createIndexes": collection.name, "indexes": missing})
        except BulkWriteError as error:
            first = (error.details or {}).get("writeErrors", [{}])[0]
            raise self._not_restored(
                f"error {first.get('code', 'without a code')}", of=collection.full_name
            ) from None
        except PyMongoError as error:
            if error.timeout:
                raise
            raise self._not_restored(str(error).split(", full error:")[0], of=collection.full_name) from None

    def _insert(self, client: MongoClient[Document], path: Path, collection: Collection) -> None:
        durable = client[collection.database].get_collection(
            collection.source,
            write_concern=WriteConcern(w="majority", j=True),
        )
        for batch in _batches(path):
            durable.insert_many(batch, ordered=True, bypass_document_validation=True)
            for document in batch:
                _set_zero_timestamps(durable, document)

    def _verify(self, client: MongoClient[Document], package: Package, collections: list[Collection]) -> None:
        """Read everything back: descriptions, and documents in their order, byte for byte."""
        observed = {collection.full_name: collection for collection in self._describe(client)}
        for collection in collections:
            there = observed.pop(collection.full_name, None)
            if there is None or not there.same_description(collection):
                raise self._not_restored(
                    "other options or indexes" if there else "no collection", of=collection.full_name
                )
            if collection.file is not None and not _expires(collection):
                self._expect_documents(client, package, collection)
        for collection in observed.values():
            raise self._not_restored("a collection that appeared meanwhile", of=collection.full_name)

    def _expect_documents(
        self, client: MongoClient[Document], package: Package, collection: Collection
    ) -> None:
        digest = hashlib.sha256()
        for batch in _raw(client[collection.database][collection.source].find_raw_batches({})):
            digest.update(batch)
        if digest.hexdigest() != package.files[str(collection.file)].sha256:
            raise self._not_restored(
                "other documents, or documents in another order", of=collection.full_name
            )


def _set_zero_timestamps(collection: Written[Document], document: RawBSONDocument) -> None:
    """Set those that a server turned into the current time when it was given the whole document."""
    if not ZERO_TIMESTAMP.search(document.raw):
        return
    zeros = {name: value for name, value in document.items() if value == Timestamp(0, 0)}
    zeros.pop("_id", None)
    if zeros:
        collection.update_one({"_id": document["_id"]}, {"$set": zeros}, bypass_document_validation=True)


@contextmanager
def _snapshot(client: MongoClient[Document], server: Document) -> Iterator[ClientSession | None]:
    if not server.get("setName"):
        yield None
        return
    with client.start_session(snapshot=True) as session:
        yield session


def _same(left: list[Collection], right: list[Collection]) -> bool:
    names = [collection.full_name for collection in left] == [collection.full_name for collection in right]
    return names and all(a.same_description(b) for a, b in zip(left, right, strict=True))


def _method(server: Document, collections: Iterable[Collection]) -> str:
    if not server.get("setName"):
        return "raw BSON of each document, one collection after the other (no snapshot: no replica set)"
    capped = [collection.full_name for collection in collections if _capped(collection)]
    besides = f", but for capped {', '.join(capped)}" if capped else ""
    return f"raw BSON of each document, read at one moment (snapshot session){besides}"


def _capped(collection: Collection) -> bool:
    return bool(collection.options.get("capped"))


def _index(collection: Collection, index: RawBSONDocument) -> Document:
    # An index that compares bytes is described without a collation, and would inherit the collection's.
    simple = {"collation": {"locale": "simple"}} if "collation" in collection.options else {}
    return {**simple, **dict(index.items())}


def _expires(collection: Collection) -> bool:
    return any("expireAfterSeconds" in described for described in (collection.options, *collection.indexes))


def _raw(batches: Iterable[object]) -> Iterator[bytes]:
    # By the driver's annotations a raw batch is a document; in fact it is bytes.
    yield from cast("Iterable[bytes]", batches)


def _answers(database: Database[Document], command: str, value: object) -> list[RawBSONDocument]:
    """Return the documents that a command lists; the driver's own helpers decode them, which loses types."""
    with database.cursor_command(command, value, codec_options=DEFAULT_RAW_BSON_OPTIONS) as cursor:
        return cast("list[RawBSONDocument]", list(cursor))


def _batches(path: Path) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    with open_regular(path) as stream:
        for document in bson.decode_file_iter(stream, codec_options=DEFAULT_RAW_BSON_OPTIONS):
            if batch and size + len(document.raw) > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(document)
            size += len(document.raw)
    if batch:
        yield batch


def _to_document(collection: Collection) -> Document:
    return {
        "database": collection.database,
        "name": collection.name,
        "kind": collection.kind,
        "options": collection.options,
        "indexes": list(collection.indexes),
        "file": collection.file,
    }


def _from_document(document: RawBSONDocument) -> Collection:
    return Collection(
        database=str(document["database"]),
        name=str(document["name"]),
        kind=str(document["kind"]),
        options=document["options"],
        indexes=tuple(document["indexes"]),
        file=document["file"],
    )
