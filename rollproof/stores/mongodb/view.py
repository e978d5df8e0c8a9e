"""MongoDB, read side: the collections in the profile's databases, their documents counted one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from rollproof.collection import Json
from rollproof.errors import Unverifiable, unanswered
from rollproof.profile.data_formats import Marks
from rollproof.stores.client_name import NAME
from rollproof.stores.contract import Answer
from rollproof.stores.mongodb.descriptor import FCV, MongodbProfile
from rollproof.stores.names import Name, names_at, names_of, whole_numbers
from rollproof.stores.reach import Reach, Readable, StoreReader

Document = dict[str, Any]
UNAUTHORIZED = 13
OF_THE_SERVER = frozenset({"admin", "config", "local"})
# Documents that `ask` reads at most: enough to touch real data, few enough for a large collection.
ASKED_DOCUMENTS = 1000
# Documents read at a time when references are followed.
NAMES = 1000
# The other sections of the server's status are long.
_CONNECTIONS_ALONE = {"serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0, "tcmalloc": 0}


def connect(
    reach: Reach,
    authentication_database: str,
    *,
    idle_seconds: float | None = None,
    anonymous: bool = False,
) -> MongoClient[Document]:
    """Return a client for this one member; it connects with its first request, `anonymous` without a log-in.

    A replica set names its members by their internal addresses, which may be unreachable from here. So the
    client talks only to the member at the profile's address. A connection that was idle for `idle_seconds` is
    closed within as many seconds again; by default it stays.
    """
    tls: dict[str, Any] = {"tls": True, "tlsCAFile": reach.endpoint.ca} if reach.endpoint.tls else {}
    idle: dict[str, Any] = {}
    if idle_seconds is not None:
        # The driver looks for idle connections at its heartbeat, which has at least 500 ms.
        idle = {"maxIdleTimeMS": int(idle_seconds * 1000), "heartbeatFrequencyMS": 500}
    milliseconds = max(1, int(reach.deadline * 1000))
    account: dict[str, Any] = {}
    if not anonymous:
        account = {
            "username": reach.account.user,
            "password": reach.account.password.get_secret_value(),
            "authSource": authentication_database,
        }
    return MongoClient(
        host=reach.endpoint.in_url,
        port=reach.endpoint.port,
        appname=NAME,
        directConnection=True,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        timeoutMS=milliseconds,
        retryReads=False,
        retryWrites=False,
        tz_aware=True,
        **account,
        **idle,
        **tls,
    )


@contextmanager
def within(reach: Reach) -> Iterator[None]:
    """Give all requests inside one deadline, and turn the driver's exceptions into `Unverifiable`."""
    try:
        with pymongo.timeout(reach.deadline):
            yield
    except BSONError as error:
        raise reach.failed(error, expected="documents that can be read") from None
    except PyMongoError as error:
        # The rest describes the whole topology, or repeats the answer (which may quote documents).
        words = re.split(r", (?:Timeout:|full error:)|\n", str(error))[0]
        means = unanswered(error, refused=isinstance(error, OperationFailure))
        raise reach.failed(words, means=means) from None
    except OSError as error:
        raise reach.failed(error) from None


def told(client: MongoClient[Document], command: Mapping[str, Any]) -> Document | None:
    """Return the server's answer to a command, or None if the account may not ask."""
    try:
        return client.admin.command(dict(command))
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return None


def lets_in_anybody(reach: Reach) -> bool:
    """Return whether the server runs without authorization: nobody has to log in there.

    Raises `Unverifiable`.
    """
    with within(reach), connect(reach, "", anonymous=True) as client:
        try:
            client.admin.command({"listDatabases": 1, "nameOnly": True})
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise
            return False
    return True


def require_primary(client: MongoClient[Document], reach: Reach) -> None:
    """Refuse a router of shards, and a member whose documents may be those of a moment ago."""
    if client.is_mongos:
        observed = "mongos, a router of shards"
    elif not client.is_primary:
        observed = "a secondary, or a member without a primary"
    else:
        return
    raise reach.failed(
        observed,
        expected="a server alone, or the primary of a replica set",
        hint="name the primary in the profile; shards would be backed up and compared in part: not supported",
    )


def holds_data(description: Mapping[str, Any]) -> bool:
    """Return True if `listCollections` describes a collection with an application's documents.

    Views hold none; among system collections, people write only ``system.js``.
    """
    name = str(description["name"])
    return description["type"] != "view" and (not name.startswith("system.") or name == "system.js")


def collections(database: Database[Document]) -> list[str]:
    """Return the names of the collections in `database` with data, sorted."""
    with database.list_collections() as found:
        return sorted(str(description["name"]) for description in found if holds_data(description))


def marks_of(client: MongoClient[Document]) -> dict[str, Json]:
    """Return the server's version, and its feature compatibility version if the account may see it."""
    found: dict[str, Json] = {"server": str(client.server_info()["version"])}
    if parameter := told(client, {"getParameter": 1, "featureCompatibilityVersion": 1}):
        found[FCV] = str(parameter["featureCompatibilityVersion"]["version"])
    return found


def marks(readable: Readable[MongodbProfile]) -> Marks:
    """Return the marks of the server's format. See `Descriptor.marks`."""
    reach = readable.reach
    with within(reach), connect(reach, readable.profile.authentication_database) as client:
        return marks_of(client)


def holdings(readable: Readable[MongodbProfile]) -> dict[str, Any]:
    """Return the databases that the account sees, the server's own apart. See `Recognition.holdings`."""
    reach = readable.reach
    with within(reach), closing(connect(reach, readable.profile.authentication_database)) as client:
        return {"databases": sorted({*client.list_database_names()} - OF_THE_SERVER)}


class MongodbReader(StoreReader[MongodbProfile]):
    """The base of MongoDB's view and content reader: it holds their client for one server."""

    def __init__(self, readable: Readable[MongodbProfile]) -> None:
        """Keep the access data; the first question connects."""
        super().__init__(readable)
        self._client: MongoClient[Document] | None = None

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

    def _greet(self, client: MongoClient[Document]) -> None:
        """Ask the server for its abilities when a client is new; nothing by default."""


class View(MongodbReader):
    """The read side of a MongoDB server. See `StoreView`."""

    kind = "mongodb"

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

    def counts(self) -> Mapping[str, int]:
        """Return the number of documents by ``database.collection``, each counted by a scan."""
        with self._connected() as client:
            return {name: self._of(client, name).count_documents({}) for name in self._names(client)}

    def collections(self) -> Sequence[str]:
        """Return the collections as ``database.collection``. See `CollectionsView`."""
        with self._connected() as client:
            return list(self._names(client))

    def count(self, collection: str) -> int:
        """Count one collection's documents by a scan. See `CollectionsView`."""
        with self._connected() as client:
            return self._of(client, collection).count_documents({})

    def connections(self) -> tuple[int, int]:
        """Return the numbers of connected and allowed clients. See `ConnectionsView`."""
        with self._connected() as client:
            status = told(client, _CONNECTIONS_ALONE)
        if status is None:
            raise self._reach.untold("the role clusterMonitor")
        used = int(status["connections"]["current"])
        return used, used + int(status["connections"]["available"])

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        """Yield the names at the paths `fields` in a collection's documents. See `ReferenceView`."""
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
