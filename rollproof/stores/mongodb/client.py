"""MongoDB's connections: opening one, its errors in words, and the questions that every module asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.client import Client
from rollproof.stores.client_name import NAME
from rollproof.stores.mongodb.descriptor import FCV
from rollproof.stores.reach import Reach

Document = dict[str, Any]
UNAUTHORIZED = 13
OF_THE_SERVER = frozenset({"admin", "config", "local"})


def connect(
    reach: Reach,
    authentication_database: str | None,
    **options: Any,  # noqa: ANN401 - as the driver takes them
) -> MongoClient[Document]:
    """Return a client for this one member, which connects with its first request; None is no log-in.

    A replica set names its members by their internal addresses, which may be unreachable from here. So the
    client talks only to the member at the profile's address. `options` are the driver's.
    """
    if reach.endpoint.tls:
        options |= {"tls": True, "tlsCAFile": reach.endpoint.ca}
    if authentication_database is not None:
        options |= {
            "username": reach.account.user,
            "password": reach.account.password.get_secret_value(),
            "authSource": authentication_database,
        }
    milliseconds = max(1, int(reach.deadline * 1000))
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
        **options,
    )


class Mongodb(Client[MongoClient[Document]]):
    """One account at the member that takes writes; threads share it."""

    errors: ClassVar = (PyMongoError, BSONError)

    def __init__(self, reach: Reach, authentication_database: str | None) -> None:
        """Keep the access data; None is no log-in."""
        super().__init__(reach)
        self._authentication_database = authentication_database

    def connect(self) -> MongoClient[Document]:
        """Connect to the primary, or to a server alone."""
        client = connect(self.reach, self._authentication_database)
        try:
            require_primary(client, self.reach)
        except BaseException:
            client.close()
            raise
        return client

    @contextmanager
    def asked(self, what: str = "an answer") -> Iterator[MongoClient[Document]]:
        """Yield the client; all requests inside have one deadline. After a failure it is closed."""
        try:
            with super().asked(what) as client, pymongo.timeout(self.reach.deadline):
                yield client
        except Unverifiable:
            self.close()
            raise

    def words(self, error: Exception) -> str:
        """Return the first words: the rest describes the topology, or the answer, with documents in it."""
        return re.split(r", (?:Timeout:|full error:)|\n", str(error))[0]

    def refused(self, error: Exception) -> bool:
        """Return whether the server answered."""
        return isinstance(error, OperationFailure)


@contextmanager
def moment(client: MongoClient[Document], *, possible: bool = True) -> Iterator[ClientSession | None]:
    """Give a session that reads as of one moment; None if that is not `possible`, or it is no replica set."""
    if not possible or "setName" not in client.admin.command("hello"):
        yield None
        return
    with client.start_session(snapshot=True) as session:
        yield session


def answer_if_allowed(client: MongoClient[Document], command: Mapping[str, Any]) -> Document | None:
    """Return the server's answer to a command, or None if the account may not ask."""
    try:
        return client.admin.command(dict(command))
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return None


def lets_in_anybody(reach: Reach) -> bool:
    """Return whether the server runs without authorization: nobody has to log in there."""
    with Mongodb(reach, None) as anybody, anybody.asked() as client:
        return answer_if_allowed(client, {"listDatabases": 1, "nameOnly": True}) is not None


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


def marks_of(client: MongoClient[Document]) -> dict[str, Json]:
    """Return the server's version, and its feature compatibility version if the account may see it."""
    found: dict[str, Json] = {"server": str(client.server_info()["version"])}
    if parameter := answer_if_allowed(client, {"getParameter": 1, "featureCompatibilityVersion": 1}):
        found[FCV] = str(parameter["featureCompatibilityVersion"]["version"])
    return found
