"""MongoDB, read side: collections, their documents counted one by one, schemas, digests, whole documents."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import bson
from bson import ObjectId, json_util
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.profile.data_formats import Marks
from rollproof.stores.canonical import hashed
from rollproof.stores.contract import (
    HASH_BITS,
    Digest,
    ExportedRecord,
    Pace,
    QueryAnswer,
    RecordHash,
    Rights,
    Selection,
    Unlisted,
)
from rollproof.stores.mongodb.bson import (
    LENIENT,
    RAW,
    bound_key,
    bound_text,
    canonical,
    fields,
    record_key,
)
from rollproof.stores.mongodb.client import (
    OF_THE_SERVER,
    Document,
    Mongodb,
    answer_if_allowed,
    marks_of,
    moment,
)
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mongodb.schema import (
    Description,
    collections,
    description,
    descriptions,
    expires_at,
)
from rollproof.stores.names import Name, names_at, names_of, whole_numbers
from rollproof.stores.policy import excluded_of
from rollproof.stores.reach import Readable
from rollproof.stores.reader import Reader
from rollproof.system.side_by_side import Workers

# Documents that `ask` reads at most: enough to touch real data, few enough for a large collection.
ASKED_DOCUMENTS = 1000
# Documents read at a time when references are followed.
NAMES = 1000
# Documents of one request: the client holds a few copies of its answer, which may have 16 MB.
BATCH = 1_000
_RELAXED = JSONOptions(json_mode=JSONMode.RELAXED)
# Documents by `_id` of any type: a filter would match only one type.
_BY_ID: Mapping[str, Any] = {"hint": [("_id", 1)]}
# The other sections of the server's status are long.
_CONNECTIONS_ALONE = {"serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0, "tcmalloc": 0}


_WRITING = frozenset(
    {
        *("insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "dropDatabase"),
        *("dropIndex", "collMod", "renameCollectionSameDB", "convertToCapped", "anyAction"),
    }
)
# A restore drops collections and creates them again.
_NEEDED = frozenset({"find", "insert", "remove", "createCollection", "createIndex", "dropCollection"})


class MongodbReader(Reader):
    """Reads one MongoDB server: each document hashed as the server's own bytes.

    Nothing is decoded, so that types, precision and the order of fields are content too. The server's own
    hashes are not used: `$toHashedIndexKey` truncates numbers, and `dbHash` blocks writers.
    """

    parts_alone: ClassVar[bool] = True
    _profile: MongodbProfile

    blind_spots: tuple[str, ...] = (
        "only on a replica set is a part read at one moment; never of capped collections and time series",
        "neither the order of insertion nor how a time series is cut into buckets is compared",
        "when a partial TTL index removes a document, the document counts as lost",
        "custom roles, passwords and settings of the server are not compared",
    )

    def __init__(self, readable: Readable[MongodbProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._mongodb = Mongodb(self._reach, self._profile.authentication_database)

    def close(self) -> None:
        """Close the client, if there is one."""
        self._mongodb.close()

    def holdings(self) -> Mapping[str, Any]:
        """Return the databases that the account sees, the server's own apart."""
        with self._mongodb.asked() as client:
            return {"databases": sorted({*client.list_database_names()} - OF_THE_SERVER)}

    def marks(self) -> Marks:
        """Return the server's version, and its feature compatibility version if the account may see it."""
        with self._mongodb.asked() as client:
            return marks_of(client)

    def ask(self) -> QueryAnswer:
        """Count up to `ASKED_DOCUMENTS` documents of the first collection that holds any, or of the last."""
        with self._mongodb.asked() as client:
            version = str(client.server_info()["version"])
            name = ""
            for name in collections(client, self._profile.databases):
                if records := self._of(client, name).count_documents({}, limit=ASKED_DOCUMENTS):
                    break
        if not name:
            raise self._reach.failed(
                "no collection",
                expected=f"a collection in {', '.join(self._profile.databases)}",
                hint="the collections were dropped, or the profile names another database",
            )
        query = f"count of up to {ASKED_DOCUMENTS} documents"
        return QueryAnswer(query, name, records, f"MongoDB {version}")

    def collections(self) -> Sequence[str]:
        """Return the collections as ``database.collection``."""
        with self._mongodb.asked() as client:
            return collections(client, self._profile.databases)

    def count(self, collection: str) -> int:
        """Count one collection's documents by a scan."""
        with self._mongodb.asked() as client:
            return self._of(client, collection).count_documents({})

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients."""
        with self._mongodb.asked() as client:
            status = answer_if_allowed(client, _CONNECTIONS_ALONE)
        if status is None:
            raise self._reach.withheld("the role clusterMonitor")
        used = int(status["connections"]["current"])
        return used, used + int(status["connections"]["available"])

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the names at the paths `fields` in a collection's documents."""
        with self._mongodb.asked() as client:
            found = self._of(client, collection).find(where, dict.fromkeys(fields, 1), batch_size=NAMES)
        with closing(found):
            while True:
                # Each block has its own deadline: the other store is asked between blocks.
                with self._mongodb.asked():
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
            self._mongodb.asked() as client,
            self._of(client, collection).find({fields[0]: first}, dict.fromkeys(fields, 1)) as found,
        ):
            for document in found:
                held |= wanted.intersection(names_at(document, fields))
        return held

    @staticmethod
    def _of(client: MongoClient[Document], collection: str) -> Collection[Document]:
        database, _, name = collection.partition(".")
        return client[database][name]

    def schemas(self) -> Mapping[str, Json]:
        """Return each collection's options and indexes, and each view's definition."""
        with self._mongodb.asked() as client:
            found = {
                f"{'view ' if one.kind == 'view' else ''}{one.full_name}": one.schema()
                for one in descriptions(client, self._profile.databases)
            }
        return dict(sorted(found.items()))

    def unlisted(self) -> Unlisted:
        """Return the users with their roles, and the databases of others."""
        compared: dict[str, Json] = {}
        outside, unread = list[str](), list[str]()
        with self._mongodb.asked() as client:
            if answer := answer_if_allowed(client, {"usersInfo": {"forAllDBs": True}}):
                compared = {f"user {user['_id']}": _roles(user) for user in answer["users"]}
            else:
                unread.append("users: the action viewUser on all databases")
            every = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": False}
            if answer := answer_if_allowed(client, every):
                named = {str(one["name"]) for one in answer["databases"]}
                outside = sorted(named - {*self._profile.databases, *OF_THE_SERVER})
            else:
                unread.append("databases of others: the action listDatabases")
        return Unlisted(compared, tuple(f"database {name}" for name in outside), tuple(unread))

    def rights(self) -> Rights:
        """Return what the account may do, by the privileges that the server lists for the connection."""
        with self._mongodb.asked() as client:
            listed = client.admin.command({"connectionStatus": 1, "showPrivileges": True})
        return judged(listed["authInfo"]["authenticatedUserPrivileges"], self._profile.databases)

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Return `_id`s that are `records` documents apart; a time series, without an order, is one part."""
        division = [""]
        bounds: dict[str, Any] = {}
        ordered = self._described(collection).time_field is None
        while ordered:
            with self._mongodb.asked() as client:
                made = self._of(client, collection).with_options(codec_options=RAW)
                # From the index alone.
                found = list(made.find({}, {"_id": 1}, skip=records, limit=1, **_BY_ID, **bounds))
            if not found:
                break
            key = found[0]["_id"]
            bounds = {"min": {"_id": key}}
            division.append(bound_text(key))
        return tuple(division)

    def digest(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts`, read side by side over the connections of `pace`."""
        described = self._described(collection)
        with Workers(pace.connections, "mongodb") as workers:

            def digested(part: int) -> Iterator[tuple[int, Digest]]:
                found = Digest(0, 0)
                for _, form in self._documents(described, division, part, pace, workers.stopped):
                    found += Digest(1, hashed(form, HASH_BITS))
                yield part, found

            yield from workers.merged(digested, parts)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each document of `parts`, with its fields' hashes."""
        described = self._described(collection)
        expiries = described.expiries
        for part in parts:
            for document, form in self._documents(described, division, part, pace):
                expires = expires_at(document, expiries)
                hashes = fields(RawBSONDocument(form, RAW))
                yield part, RecordHash(record_key(document), hashed(form, HASH_BITS), hashes, expires)

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted documents, including the fields that digests leave out."""
        described = self._described(selection.collection)
        for part, records in selection.wanted.items():
            for document, form in self._documents(described, selection.division, part, pace):
                key, value = record_key(document), hashed(form, HASH_BITS)
                if (key, value) in records:
                    # As bytes: extended JSON cannot express every document exactly.
                    yield ExportedRecord(key, value, _readable(document), b64encode(document.raw).decode())

    def _described(self, collection: str) -> Description:
        with self._mongodb.asked() as client:
            found = description(client, collection)
        if found is None:
            raise self._reach.failed(
                "none of that name",
                expected=f"collection {collection}",
                hint="it was dropped or renamed, maybe while it was read",
            )
        return found

    def _documents(
        self,
        described: Description,
        division: Sequence[str],
        part: int,
        pace: Pace,
        stopped: Event | None = None,
    ) -> Iterator[tuple[RawBSONDocument, bytes]]:
        """Yield a part's documents, each with the bytes to hash; as of one moment if the server can.

        It ends early once it is `stopped`.
        """
        options = self._within(described, division, part)
        excluded = excluded_of(self._profile, described.full_name)
        ordered = described.time_field is None
        with ExitStack() as opened:
            with self._mongodb.asked() as client:
                session = opened.enter_context(moment(client, possible=ordered and not described.capped))
                made = client[described.database][described.name]
                found = made.find_raw_batches({}, batch_size=BATCH, session=session, **options)
                opened.callback(found.close)
            while stopped is None or not stopped.is_set():
                started = time.monotonic()
                try:
                    with self._mongodb.asked():
                        batch: Any = next(found, None)
                except Unverifiable:
                    self._described(described.full_name)  # it may be gone
                    raise
                seconds = time.monotonic() - started
                if batch is None:
                    break
                documents = bson.decode_all(batch, RAW)
                for document in documents:
                    yield document, canonical(document, excluded, ordered=ordered)
                pace.next_size(len(documents), seconds)
        # A collection that was dropped meanwhile has ended like any other.
        self._described(described.full_name)

    def _within(self, described: Description, division: Sequence[str], part: int) -> Mapping[str, Any]:
        """Return the options of `find` for a part."""
        ends = zip(("min", "max"), [*division, ""][part : part + 2], strict=True)
        try:
            bounds = {end: {"_id": bound_key(text)} for end, text in ends if text}
        except (ValueError, TypeError, BSONError):
            raise self._reach.failed(
                "another text",
                expected=f"division of {described.full_name} into parts by _id",
                hint="the baseline was changed by hand, or is of another store",
            ) from None
        return {**_BY_ID, **bounds} if described.time_field is None else {}


def judged(privileges: Sequence[Mapping[str, Any]], databases: Sequence[str]) -> Rights:
    """Return the rights on whole databases in a list of privileges, each of a resource and its actions."""
    writes, lacks = [], []
    for name in databases:
        held = frozenset(
            action
            for one in privileges
            if one["resource"].get("anyResource")
            or (one["resource"].get("db") in {"", name} and one["resource"].get("collection") == "")
            for action in one["actions"]
        )
        writes += [f"{one} on {name}" for one in sorted(held & _WRITING)]
        if "anyAction" not in held:
            lacks += [f"{one} on {name}" for one in sorted(_NEEDED - held)]
    return Rights(tuple(writes), tuple(lacks))


def _roles(user: Mapping[str, Any]) -> Json:
    roles = [f"{role['role']} of {role['db']}" for role in user.get("roles", ())]
    return {"roles": list[Json](sorted(roles))}


def _readable(document: RawBSONDocument) -> Json:
    """Return a document as relaxed extended JSON: most values as people know them, others with their type."""
    found: Json = json.loads(json_util.dumps(bson.decode(document.raw, LENIENT), json_options=_RELAXED))
    return found
