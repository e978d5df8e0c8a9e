"""MongoDB, read side: collections, their documents counted one by one, schemas, digests, whole documents."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import bson
from bson import Int64, ObjectId, json_util
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import MongoClient
from pymongo.collection import Collection

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.contract import (
    Answer,
    Beside,
    Digest,
    ExportedRecord,
    Pace,
    RecordHash,
    Rights,
    Selection,
)
from rollproof.stores.mongodb.bson import (
    LENIENT,
    Tree,
    answered,
    bound_key,
    bound_text,
    elements,
    fields,
    hashes,
    joined,
    key_of,
    record_key,
    split_stream,
    tree,
    without,
)
from rollproof.stores.mongodb.client import (
    _CONNECTIONS_ALONE,
    ASKED_DOCUMENTS,
    NAMES,
    OF_THE_SERVER,
    Document,
    collections,
    connect,
    require_primary,
    told,
    within,
)
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mongodb.rights import judged
from rollproof.stores.mongodb.schema import Description, description, descriptions
from rollproof.stores.names import Name, names_at, names_of, whole_numbers
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import Reader
from rollproof.system.side_by_side import Workers

FIRST_SIZE = 10_000
# The most keys that the server skips in one request of `divide`.
SKIPPED = 200_000
# The wire version of MongoDB 5.0, the first with snapshot reads outside of a transaction.
SNAPSHOTS_SINCE = 13
_RELAXED = JSONOptions(json_mode=JSONMode.RELAXED)


@dataclass(slots=True)
class _Scan:
    """The state of reading one collection. `size` is the number of documents for the next request."""

    client: MongoClient[Document]
    described: Description
    bounds: tuple[bytes | None, ...]
    snapshots: bool
    excluded: Tree
    pace: Pace
    size: int
    stopped: threading.Event = field(default_factory=threading.Event)

    def canonical(self, documents: list[bytes]) -> list[bytes]:
        """Return documents in the form to hash: without excluded fields."""
        if self.described.time_field is not None:
            # A time series does not keep the order of fields: the server reassembles each record.
            documents = [joined(sorted(elements(document), key=lambda e: e.name)) for document in documents]
        return [without(document, self.excluded) for document in documents] if self.excluded else documents

    def paced(self, asked: int, records: int, seconds: float) -> None:
        """Choose the next size; a quick and small answer says nothing about the time for more."""
        size = self.pace.next_size(max(records, 1), seconds)
        if records >= asked or seconds > self.pace.chunk_seconds:
            self.size = size


class MongodbReader(Reader):
    """Reads one MongoDB server: each document hashed as the server's own bytes.

    Nothing is decoded, so that types, precision and the order of fields are content too. The server's own
    hashes are not used: `$toHashedIndexKey` truncates numbers, and `dbHash` blocks writers.
    """

    _profile: MongodbProfile

    blind_spots: tuple[str, ...] = (
        "a part is read at one moment only on a replica set, and outside of capped collections",
        "neither the order of insertion nor how a time series is cut into buckets is compared",
        "when a partial TTL index removes a document, the document counts as lost",
        "custom roles, passwords and settings of the server are not compared",
    )

    def __init__(self, readable: Readable[MongodbProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._client: MongoClient[Document] | None = None
        self._snapshots = False

    def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            self._client.close()
        self._client = None

    @contextmanager
    def _connected(self) -> Iterator[MongoClient[Document]]:
        """Yield the client, within one deadline.

        After a failure the client is closed: it would wait for the server's recovery. The next call makes
        a new one.
        """
        try:
            with within(self._reach):
                if self._client is None:
                    self._client = connect(self._reach, self._profile.authentication_database)
                    require_primary(self._client, self._reach)
                    self._greet(self._client)
                yield self._client
        except Unverifiable:
            self.close()
            raise

    def ask(self) -> Answer:
        """Count up to `ASKED_DOCUMENTS` documents of the first collection that holds any."""
        with self._connected() as client:
            version = str(client.server_info()["version"])
            first, records = "", 0
            for name in self._names(client):
                first = first or name
                if records := self._of(client, name).count_documents({}, limit=ASKED_DOCUMENTS):
                    first = name
                    break
        if not first:
            raise self._reach.failed(
                "no collection",
                expected=f"a collection in {', '.join(self._profile.databases)}",
                hint="the collections were dropped, or the profile names another database",
            )
        query = f"count of up to {ASKED_DOCUMENTS} documents"
        return Answer(query, first, records, f"MongoDB {version}")

    def collections(self) -> Sequence[str]:
        """Return the collections as ``database.collection``."""
        with self._connected() as client:
            return list(self._names(client))

    def count(self, collection: str) -> int:
        """Count one collection's documents by a scan."""
        with self._connected() as client:
            return self._of(client, collection).count_documents({})

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients."""
        with self._connected() as client:
            status = told(client, _CONNECTIONS_ALONE)
        if status is None:
            raise self._reach.untold("the role clusterMonitor")
        used = int(status["connections"]["current"])
        return used, used + int(status["connections"]["available"])

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the names at the paths `fields` in a collection's documents."""
        with self._connected() as client:
            found = self._of(client, collection).find(where, dict.fromkeys(fields, 1), batch_size=NAMES)
        with closing(found):
            while True:
                # Each block has its own deadline: the other store is asked between blocks.
                with self._connected():
                    block = list(islice(found, NAMES))
                if not block:
                    return
                for document in block:
                    yield from names_of(document, fields)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        """Return the `names` that the paths `fields` together form in any document, in whatever type."""
        wanted, held = set(names), set()
        texts = sorted({name[0] for name in names})
        ids = (ObjectId(text) for text in texts if ObjectId.is_valid(text))
        first = {"$in": [*texts, *whole_numbers(texts), *ids]}
        with (
            self._connected() as client,
            self._of(client, collection).find({fields[0]: first}, dict.fromkeys(fields, 1)) as found,
        ):
            for document in found:
                held |= wanted.intersection(names_at(document, fields))
        return held

    @staticmethod
    def _of(client: MongoClient[Document], collection: str) -> Collection[Document]:
        database, _, name = collection.partition(".")
        return client[database][name]

    def _names(self, client: MongoClient[Document]) -> Iterator[str]:
        """Yield the collections of the profile's databases as ``database.collection``."""
        for database in sorted(self._profile.databases):
            yield from (f"{database}.{name}" for name in collections(client[database]))

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's options and indexes, and each view's definition."""
        with self._connected() as client:
            found = {
                described.full_name: described.schema()
                for described in descriptions(client, self._profile.databases)
            }
        return dict(sorted(found.items()))

    def beside(self) -> Beside:
        """Return the users with their roles, and the databases of others."""
        compared: dict[str, Json] = {}
        outside, unread = list[str](), list[str]()
        with self._connected() as client:
            if answer := told(client, {"usersInfo": {"forAllDBs": True}}):
                compared = {f"user {user['_id']}": _roles(user) for user in answer["users"]}
            else:
                unread.append("users: the action viewUser on all databases")
            every = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": False}
            if answer := told(client, every):
                named = {str(one["name"]) for one in answer["databases"]}
                outside = sorted(named - {*self._profile.databases, *OF_THE_SERVER})
            else:
                unread.append("databases of others: the action listDatabases")
        return Beside(compared, tuple(f"database {name}" for name in outside), tuple(unread))

    def rights(self) -> Rights:
        """Return what the account may do, by the privileges that the server lists for the connection."""
        with self._connected() as client:
            listed = client.admin.command({"connectionStatus": 1, "showPrivileges": True})
        return judged(listed["authInfo"]["authenticatedUserPrivileges"], self._profile.databases)

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return `_id`s that are `records` documents apart, or times for a time series."""
        with self._connected() as client:
            described = self._described(client, collection)
        if described.time_field is not None:
            return self._divide_time(described, described.time_field, records)
        division, key, left = [""], None, records
        while True:
            step = min(left, SKIPPED)
            key = self._key_after(described, key, step)
            if key is None:
                return tuple(division)
            left -= step
            if left == 0:
                text = bound_text(key)
                # Only an `_id` with an exact text can be a bound; deprecated types have none.
                division += [] if text is None else [text]
                left = records if text is not None else 1

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`, read side by side over the connections of `pace`."""
        with self._scan(collection, division, pace) as scan:

            def digested(part: int) -> Iterator[tuple[int, Digest]]:
                found = Digest(0, 0)
                for documents in self._documents(scan, part):
                    found += Digest(len(documents), sum(hashes(scan.canonical(documents))))
                yield part, found

            with Workers(pace.connections, "mongodb") as workers:
                scan.stopped = workers.stopped
                yield from workers.merged(digested, parts)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each document of `parts`, with its fields' hashes."""
        with self._scan(collection, division, pace) as scan:
            expiries = scan.described.expiries
            for part in parts:
                for documents in self._documents(scan, part):
                    canonical = scan.canonical(documents)
                    for document, hashed, value in zip(documents, canonical, hashes(canonical), strict=True):
                        expires = None
                        if expiries:
                            decoded = bson.decode(document, LENIENT)
                            moments = [expiry.of(decoded) for expiry in expiries]
                            expires = min((moment for moment in moments if moment is not None), default=None)
                        yield part, RecordHash(record_key(document), value, fields(hashed), expires)

    def _greet(self, client: MongoClient[Document]) -> None:
        """Ask a server whether it reads from snapshots."""
        hello = client.admin.command("hello")
        member = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._snapshots = member and hello["maxWireVersion"] >= SNAPSHOTS_SINCE

    def _described(self, client: MongoClient[Document], collection: str) -> Description:
        found = description(client, collection)
        if found is None:
            raise self._reach.failed(
                "none of that name",
                expected=f"collection {collection}",
                hint="it was dropped or renamed, maybe while it was read",
            )
        return found

    @contextmanager
    def _scan(self, collection: str, division: Sequence[str], pace: Pace) -> Iterator[_Scan]:
        """Give the state for reading a collection; raise `Unverifiable` if it is gone at the end."""
        with self._connected() as client:
            described = self._described(client, collection)
        try:
            keys = [bound_key(text) if text else None for text in division]
        except (ValueError, TypeError, BSONError):
            raise self._reach.failed(
                "another text",
                expected=f"division of {collection} into parts by _id",
                hint="the baseline was changed by hand, or is of another store",
            ) from None
        scan = _Scan(
            client,
            described,
            bounds=(*keys, None),
            snapshots=self._snapshots and not described.capped,
            excluded=tree(excluded_of(self._profile, collection)),
            pace=pace,
            size=FIRST_SIZE,
        )
        try:
            yield scan
        except Unverifiable:
            self.close()
            raise
        with self._connected() as client:
            self._described(client, collection)

    def _documents(self, scan: _Scan, part: int) -> Iterator[list[bytes]]:
        """Yield one part's documents, request by request, all from one snapshot if the server can."""
        low, high = scan.bounds[part], scan.bounds[part + 1]
        if scan.described.time_field is not None:
            yield from self._documents_of_time(scan, scan.described.time_field, low, high)
            return
        last: bytes | None = None
        moment: Timestamp | None = None
        skip = 0
        more = True
        while more and not scan.stopped.is_set():
            asked = scan.size
            # The answer begins with the previous request's last document: `min` is inclusive.
            command = _find(scan.described.name, last or low, high, limit=asked + (last is not None))
            if skip:
                command["skip"] = skip
            if scan.snapshots:
                command["readConcern"] = {"level": "snapshot"}
                if moment is not None:
                    command["readConcern"]["atClusterTime"] = moment
            started = time.monotonic()
            documents, moment, more = self._ask(scan.client, scan.described, command)
            seconds = time.monotonic() - started
            more = more or len(documents) == command["limit"]
            if documents and key_of(documents[0]) == last:
                del documents[0]
            # If that document alone filled the answer, the next request skips it.
            skip = int(more and not documents)
            if documents:
                last = key_of(documents[-1])
                scan.paced(asked, len(documents), seconds)
                yield documents

    def _documents_of_time(
        self, scan: _Scan, time_field: str, low: bytes | None, high: bytes | None
    ) -> Iterator[list[bytes]]:
        """Yield a time series' records between two times by one cursor; they have no key to resume from."""
        where = _between(time_field, low, high)
        series = scan.client[scan.described.database][scan.described.name]
        found = series.find_raw_batches(where, batch_size=scan.size)
        with found:
            while not scan.stopped.is_set():
                started = time.monotonic()
                with within(self._reach):
                    batch: Any = next(found, None)
                if batch is None:
                    return
                documents = split_stream(batch)
                scan.paced(scan.size, len(documents), time.monotonic() - started)
                yield documents

    def _ask(
        self, client: MongoClient[Document], described: Description, command: Document
    ) -> tuple[list[bytes], Timestamp | None, bool]:
        """Return one request's documents, their snapshot's time, and whether more documents remain."""
        with within(self._reach):
            database = client[described.database]
            answer = database.command(command, codec_options=DEFAULT_RAW_BSON_OPTIONS)
            documents, rest = answered(bytes(answer.raw))
            cursor = bson.decode(rest, LENIENT)
            if cursor["id"]:
                database.command({"killCursors": described.name, "cursors": [Int64(cursor["id"])]})
        return documents, cursor.get("atClusterTime"), bool(cursor["id"])

    def _key_after(self, described: Description, key: bytes | None, skipped: int) -> bytes | None:
        """Return the `_id` that is `skipped` places after `key`, from the index alone."""
        command = {**_find(described.name, key, None, limit=1), "skip": skipped, "projection": {"_id": 1}}
        with self._connected() as client:
            documents, _, _ = self._ask(client, described, command)
        return key_of(documents[0]) if documents else None

    def _divide_time(self, described: Description, time_field: str, records: int) -> tuple[str, ...]:
        """Halve the span of time until each piece has at most `records` records, or is one millisecond."""
        ends = []
        for direction in (1, -1):
            with self._connected() as client:
                series = client[described.database].get_collection(described.name, codec_options=LENIENT)
                found = series.find_one({}, {time_field: 1}, sort=[(time_field, direction)])
            if found is None:
                return ("",)
            ends.append(int(found[time_field]))
        bounds: list[int] = []
        spans = [(ends[0], ends[1] + 1)]
        while spans:
            start, end = spans.pop()
            where = {time_field: {"$gte": DatetimeMS(start), "$lt": DatetimeMS(end)}}
            with self._connected() as client:
                count = client[described.database][described.name].count_documents(where)
            if count > records and end - start > 1:
                middle = (start + end) // 2
                spans += [(middle, end), (start, middle)]
            elif count:
                bounds.append(start)
        texts = [bound_text(bson.encode({"_id": DatetimeMS(bound)})) for bound in bounds[1:]]
        return ("", *(text for text in texts if text is not None))

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted documents, including the fields that digests leave out."""
        with self._scan(selection.collection, selection.division, pace) as scan:
            for part, records in selection.wanted.items():
                for documents in self._documents(scan, part):
                    for document, value in zip(documents, hashes(scan.canonical(documents)), strict=True):
                        key = record_key(document)
                        if (key, value) in records:
                            # As bytes: extended JSON cannot express every document exactly.
                            whole = b64encode(document).decode()
                            yield ExportedRecord(key, value, _readable(document), whole)


def _roles(user: Mapping[str, Any]) -> Json:
    roles = [f"{role['role']} of {role['db']}" for role in user.get("roles", ())]
    return {"roles": list[Json](sorted(roles))}


def _find(collection: str, low: bytes | None, high: bytes | None, *, limit: int) -> Document:
    """Return a request for documents by `_id` of any type: a filter would match only one type."""
    command: Document = {"find": collection, "hint": {"_id": 1}, "limit": limit, "batchSize": limit}
    if low is not None:
        command["min"] = RawBSONDocument(low)
    if high is not None:
        command["max"] = RawBSONDocument(high)
    return command


def _between(time_field: str, low: bytes | None, high: bytes | None) -> Document:
    bounds = {
        operator: bson.decode(bound, LENIENT)["_id"]
        for operator, bound in (("$gte", low), ("$lt", high))
        if bound is not None
    }
    return {time_field: bounds} if bounds else {}


def _readable(document: bytes) -> Json:
    """Return a document as relaxed extended JSON: most values as people know them, others with their type."""
    found: Json = json.loads(json_util.dumps(bson.decode(document, LENIENT), json_options=_RELAXED))
    return found
