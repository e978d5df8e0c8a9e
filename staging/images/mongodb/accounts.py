#!/opt/venv/bin/python
"""Initiate the replica set once, state the accounts again at every start; `accounts health` says how it is.

The first account is made through the localhost exception, which mongod closes by itself afterwards.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

WITHIN_SECONDS = 120
ALREADY_INITIALIZED = 23
AUTHENTICATION_FAILED = 18
# In this order: the healthcheck uses the application's account, which therefore comes last.
ROLES: dict[str, list[dict[str, str]]] = {
    "reader": [{"role": "readAnyDatabase", "db": "admin"}, {"role": "clusterMonitor", "db": "admin"}],
    "operator": [
        {"role": "readWriteAnyDatabase", "db": "admin"},
        {"role": "dbAdminAnyDatabase", "db": "admin"},
        {"role": "backup", "db": "admin"},
        {"role": "restore", "db": "admin"},
        {"role": "clusterMonitor", "db": "admin"},
        {"role": "hostManager", "db": "admin"},
    ],
    "app": [{"role": "readWrite", "db": "mongodb"}, {"role": "dbAdmin", "db": "mongodb"}],
}


class NoPrimary(Exception):
    """No member of the replica set takes writes."""


def secret(name: str) -> str:
    """Return the secret of that name."""
    return Path("/run/secrets", name).read_text()


def administration(user: str | None = None) -> Database[dict[str, Any]]:
    """Return the admin database of the server in this container, as `user` or as nobody."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        "127.0.0.1",
        27017,
        directConnection=True,
        serverSelectionTimeoutMS=2000,
        connectTimeoutMS=2000,
        socketTimeoutMS=10000,
        username=user,
        password=None if user is None else secret(f"mongodb_{user}"),
    )
    return client.admin


def create_root() -> None:
    """Initiate the replica set and create root, through the localhost exception."""
    admin = administration()
    try:
        admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": "mongodb:27017"}]})
    except OperationFailure as error:
        if error.code != ALREADY_INITIALIZED:
            raise
    wait_for_primary(admin)
    admin.command("createUser", "root", pwd=secret("mongodb_root"), roles=["root"])


def wait_for_primary(admin: Database[dict[str, Any]]) -> None:
    """Wait until this member takes writes; the caller's deadline ends a wait that never does."""
    give_up = time.monotonic() + WITHIN_SECONDS
    while not admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > give_up:
            raise NoPrimary(f"no primary of the replica set in {WITHIN_SECONDS} s")
        time.sleep(0.1)


def state_accounts() -> None:
    """Create or update every account, as root; make root first where there is none."""
    admin = administration("root")
    try:
        admin.command("ping")
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        create_root()
    wait_for_primary(admin)
    present = {user["user"] for user in admin.command("usersInfo")["users"]}
    for user, roles in ROLES.items():
        command = "updateUser" if user in present else "createUser"
        admin.command(command, user, pwd=secret(f"mongodb_{user}"), roles=roles)


def health() -> int:
    """Healthy: this member is the primary, and the application's own account reads its database."""
    try:
        admin = administration("app")
        if admin.command("hello").get("isWritablePrimary"):
            admin.client["mongodb"]["users"].find_one({}, max_time_ms=2000)
            return 0
        print("mongodb: expected a primary, observed another state")
    except PyMongoError as error:
        print(f"mongodb: expected an answer to the query, observed {type(error).__name__}: {error}")
    return 1


def main() -> int:
    """Try until it works or the time is over; the last error is what the log ends with."""
    give_up = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            state_accounts()
        except (PyMongoError, NoPrimary) as error:
            if time.monotonic() > give_up:
                print(f"accounts: expected root, app, reader and operator, observed {error}", file=sys.stderr)
                return 1
            time.sleep(0.2)
        else:
            print("accounts: root, app, reader and operator are in place")
            return 0


if __name__ == "__main__":
    sys.exit(health() if sys.argv[1:] == ["health"] else main())
