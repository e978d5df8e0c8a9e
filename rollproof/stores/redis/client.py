"""One database of a Redis, and the profile's groups of its keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import translate
from typing import ClassVar, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from rollproof.collection import Json
from rollproof.stores.client import Client
from rollproof.stores.client_name import NAME
from rollproof.stores.reach import Reach, Readable, release
from rollproof.stores.redis.descriptor import RedisProfile

# Keys that a round of SCAN examines: few rounds are needed, and each is too short to hold up the server.
SCAN_COUNT = 1000
# The first release that tells when a key expires; an earlier one tells the time that is left.
EXACT_EXPIRY_SINCE = (7, 0)
# The server's own answers; the driver counts some of them as errors of the connection.
_REFUSED = (
    redis.ResponseError,
    redis.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.BusyLoadingError,
)


class Redis(Client[redis.Redis]):
    """One database of a Redis; threads share it."""

    errors: ClassVar = (redis.RedisError,)
    marks: Mapping[str, Json]
    """The server's product and version, once it was connected to."""

    def __init__(self, reach: Reach, database: int) -> None:
        """Keep the access data."""
        super().__init__(reach)
        self._database = database

    def connect(self) -> redis.Redis:
        """Return a client that does not retry, once the server has said what it is."""
        client = redis.Redis(
            host=self.reach.endpoint.host,
            port=self.reach.endpoint.port,
            db=self._database,
            username=self.reach.account.user,
            password=self.reach.account.password.get_secret_value(),
            socket_timeout=self.reach.deadline,
            socket_connect_timeout=self.reach.deadline,
            retry=Retry(NoBackoff(), 0),
            protocol=3,
            ssl=self.reach.endpoint.tls,
            ssl_ca_certs=self.reach.endpoint.ca,
            redis_connect_func=cast("Callable[[], None]", _greet),  # called with the connection
        )
        # INFO would need a privilege that readers lack.
        hello: dict[bytes, bytes] = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
        mode, role = (hello.get(key, b"").decode() for key in (b"mode", b"role"))
        if mode not in {"", "standalone"} or role not in {"", "master"}:
            raise self.reach.failed(
                f"mode {mode}, role {role}",
                expected="a server alone, the master: it holds all keys, as they are now",
                hint="name the master in the profile; a Redis Cluster would be read in part: not supported",
            )
        self.marks = {"product": hello[b"server"].decode(), "server": hello[b"version"].decode()}
        return client

    def refused(self, error: Exception) -> bool:
        """Return whether the server said so."""
        return isinstance(error, _REFUSED)

    @property
    def exact_expiry(self) -> bool:
        """Whether the server tells when a key expires."""
        return release(str(self.marks["server"])) >= EXACT_EXPIRY_SINCE


def _greet(connection: AbstractConnection) -> None:
    """Greet the server, and take the name by which a rollback knows the suite's own connections."""
    connection.on_connect()  # type: ignore[no-untyped-call]
    # Not every account may have a name.
    with suppress(redis.exceptions.ResponseError):
        connection.send_command("CLIENT", "SETNAME", NAME)  # type: ignore[no-untyped-call]
        connection.read_response()


def keys(client: redis.Redis, reach: Reach) -> frozenset[bytes]:
    """Return every key present in `client`'s database during the whole scan."""
    countdown, found = reach.start(), set[bytes]()  # SCAN may return a key more than once
    for key in client.scan_iter(count=SCAN_COUNT):
        countdown.left()
        found.add(key)
    return frozenset(found)


class KeyGroups:
    """Sorts keys by the profile's patterns: the first match counts, ``<database>:*`` takes the rest."""

    def __init__(self, databases: Sequence[int], patterns: Sequence[str]) -> None:
        """Parse `patterns`, each one of `databases` and a Redis pattern: ``"0:token:*"``."""
        self._patterns: dict[int, list[tuple[str, re.Pattern[bytes]]]] = {number: [] for number in databases}
        for pattern in patterns:
            number, _, glob = pattern.partition(":")
            self._patterns[int(number)].append((pattern, _expression(glob)))

    def names(self, database: int) -> tuple[str, ...]:
        """Return the groups of `database`: its patterns, then the rest."""
        return (*(pattern for pattern, _ in self._patterns[database]), f"{database}:*")

    def of(self, database: int, key: bytes) -> str:
        """Return the group of a key."""
        return next(
            (pattern for pattern, match in self._patterns[database] if match.fullmatch(key)), f"{database}:*"
        )

    def grouped(self, database: int, found: Iterable[bytes]) -> dict[str, list[bytes]]:
        """Return the keys by group of `database`, including empty groups."""
        groups: dict[str, list[bytes]] = {name: [] for name in self.names(database)}
        for key in found:
            groups[self.of(database, key)].append(key)
        return groups


def _expression(glob: str) -> re.Pattern[bytes]:
    """Return a Redis pattern without backslashes (``* ? [a-z] [^a]``) as a regular expression of bytes."""
    text = glob.encode().decode("latin-1").replace("[^", "[!")
    return re.compile(translate(text).encode("latin-1"))


def sweep(readable: Readable[RedisProfile], database: int, keys: Sequence[str]) -> int:
    """Remove `keys`, and return the number of keys still there.

    The one deletion on the reading side: the canary user's own log-ins, with the profile's sweeper account,
    which may do nothing else.
    """
    with Redis(readable.reach, database) as server, server.asked("the removal of keys") as client:
        client.unlink(*keys)
        return int(client.exists(*keys))
