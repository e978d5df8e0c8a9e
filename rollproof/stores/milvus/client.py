"""Milvus, read side.

A count here is ``count(*)`` with Strong consistency, which only a loaded collection answers. A collection's
statistics are never used: a server has reported 0 rows with a count of 54.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

import grpc  # type: ignore[import-untyped]
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from rollproof.stores.client import Client
from rollproof.stores.contract import LOADED
from rollproof.stores.reach import Reach

_NOT_LOADED = 101
# The client's own codes are smaller.
_OF_THE_SERVER = 100
_ANSWERS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
# A strong count waits for the server's next time tick, 0.2 s; counts side by side share that wait.
WORKERS = 8

# The client logs each error with a traceback before raising it, so it would be reported twice.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


class Milvus(Client[MilvusClient]):
    """One database of a Milvus, on a connection of its own; threads share it."""

    errors: ClassVar = (MilvusException, grpc.RpcError)

    def __init__(self, reach: Reach, database: str) -> None:
        """Keep the access data."""
        super().__init__(reach)
        self._database = database

    def connect(self) -> MilvusClient:
        """Connect and log in."""
        options = {"server_pem_path": self.reach.endpoint.ca} if self.reach.endpoint.ca else {}
        return MilvusClient(
            uri=self.reach.url,
            user=self.reach.account.user,
            # The client logs in only with a password.
            password=self.reach.account.password.get_secret_value(),
            db_name=self._database,
            timeout=self.reach.deadline,
            # Shared connections are never closed, and are left in a bad state by a restart of the server.
            dedicated=True,
            **options,
        )

    def version(self) -> str:
        """Return the server's version in its own words."""
        with self.asked("a version") as client:
            return str(client.get_server_version(timeout=self.reach.deadline))

    def listed(self) -> list[str]:
        """Return the names of all collections, loaded or not."""
        with self.asked("a list of collections") as client:
            return sorted(client.list_collections(timeout=self.reach.deadline))

    def described(self, collection: str) -> dict[str, Any]:
        """Return the server's description of a collection."""
        with self.asked(f"a description of {collection}") as client:
            found: dict[str, Any] = client.describe_collection(collection, timeout=self.reach.deadline)
        return found

    def count(self, collection: str) -> int:
        """Return the exact number of entities."""
        with self.asked(f"a count of {collection}") as client:
            return self._counted(client, collection, "Strong")

    def load_state(self, collection: str) -> str:
        """Return `LOADED` if a query is answered, not refused as not loaded.

        The server's own call is not used: Milvus 2.3 requires the privilege to load for it.
        """
        with self.asked(f"the load state of {collection}") as client:
            try:
                self._counted(client, collection, "Eventually")
            except MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
                return "not loaded"
        return LOADED

    def indexes(self, collection: str, field: str = "") -> dict[str, dict[str, Any]]:
        """Return the descriptions of a collection's indexes by name, or of those of a `field`."""
        seconds = self.reach.deadline
        with self.asked(f"indexes of {collection}") as client:
            return {
                name: client.describe_index(collection, name, timeout=seconds) or {}
                for name in sorted(client.list_indexes(collection, field_name=field, timeout=seconds))
            }

    def words(self, error: Exception) -> str:
        """Return the server's words."""
        cause = _cause(error)
        if isinstance(cause, grpc.Call):
            return f"{cause.code().name}: {cause.details()}"
        return f"error {error.code}: {error.message}" if isinstance(error, MilvusException) else repr(error)

    def refused(self, error: Exception) -> bool:
        """Return whether the server said so."""
        cause = _cause(error)
        if isinstance(cause, grpc.Call):
            return cause.code() in _ANSWERS
        if not isinstance(error, MilvusException):
            return False
        # Of a server that it cannot connect to, the client says so with the reason as the cause.
        return error.code >= _OF_THE_SERVER or (error.__cause__ is None and error.__context__ is None)

    def hint(self, error: Exception) -> str:
        """Return what to check."""
        if self.refused(error):
            return "see what the profile's account is granted, and whether the collection is loaded"
        return "check the address and that Milvus runs; /healthz may say OK long before it can be queried"

    def _counted(self, client: MilvusClient, collection: str, consistency: str) -> int:
        rows = client.query(
            collection,
            filter="",
            output_fields=["count(*)"],
            consistency_level=consistency,
            timeout=self.reach.deadline,
        )
        return int(rows[0]["count(*)"])


def import_for_searches() -> None:
    """Import SciPy, if it is installed, as the client does in its first search.

    Of several searches at once, some would see a half of it. It is slow, and not for what only counts.
    """
    with suppress(ImportError):
        import scipy.sparse  # type: ignore[import-untyped]  # noqa: F401, PLC0415


def literal(value: int | str | Sequence[int | str]) -> str:
    """Return a key or a list of them as a condition has it."""
    # The server refuses the escapes that JSON has for characters beyond 16 bits.
    return json.dumps(value, ensure_ascii=False)


def _cause(error: Exception) -> BaseException | None:
    """Return what the server answered by: if it cannot connect, the client hides that in the cause."""
    return error if isinstance(error, grpc.RpcError) else error.__cause__
