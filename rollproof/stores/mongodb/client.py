"""MongoDB, read side: the collections in the profile's databases, their documents counted one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from rollproof.collection import Json
from rollproof.errors import unanswered
from rollproof.profile.data_formats import Marks
from rollproof.stores.client_name import NAME
from rollproof.stores.mongodb.descriptor import FCV, MongodbProfile
from rollproof.stores.reach import Reach, Readable

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
