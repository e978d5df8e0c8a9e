#!/opt/venv/bin/python
"""Give root its password and state the accounts app and reader again at every start."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

ADDRESS = os.environ.get("MILVUS_ADDRESS", "http://127.0.0.1:19530")
FACTORY_PASSWORD = "Milvus"  # noqa: S105 - every new server has it, and loses it here
CALL_SECONDS = 5
WITHIN_SECONDS = 180
ANY = "*"
# In this order: the healthcheck uses the application's account, which therefore comes last.
PRIVILEGES: dict[str, list[tuple[str, str]]] = {
    "reader": [
        ("Global", "DescribeAlias"),
        ("Global", "DescribeCollection"),
        ("Global", "ListAliases"),
        ("Global", "ShowCollections"),
        ("Collection", "GetLoadState"),
        ("Collection", "GetLoadingProgress"),
        ("Collection", "GetStatistics"),
        ("Collection", "HasPartition"),
        ("Collection", "IndexDetail"),
        # This server asks for Load even to tell whether a collection is loaded. Loading changes no data.
        ("Collection", "Load"),
        ("Collection", "Query"),
        ("Collection", "Search"),
        ("Collection", "ShowPartitions"),
    ],
    "app": [
        ("Global", "CreateAlias"),
        ("Global", "CreateCollection"),
        ("Global", "DescribeAlias"),
        ("Global", "DescribeCollection"),
        ("Global", "DropAlias"),
        ("Global", "DropCollection"),
        ("Global", "FlushAll"),
        ("Global", "ListAliases"),
        ("Global", "RenameCollection"),
        ("Global", "ShowCollections"),
        ("Collection", ANY),
    ],
}


def secret(user: str) -> str:
    """Return the password of that user."""
    return Path(f"/run/secrets/milvus_{user}").read_text()


def connect(user: str, password: str) -> MilvusClient:
    """Return a client that has authenticated as `user`."""
    client = MilvusClient(uri=ADDRESS, user=user, password=password, timeout=CALL_SECONDS)
    client.list_collections(timeout=CALL_SECONDS)
    return client


def connect_root() -> MilvusClient:
    """Return root's client; a new server's root still has the factory password, and gets its own."""
    try:
        return connect("root", secret("root"))
    except MilvusException:
        factory = connect("root", FACTORY_PASSWORD)
        factory.update_password("root", FACTORY_PASSWORD, secret("root"), timeout=CALL_SECONDS)
        return connect("root", secret("root"))


def state_account(root: MilvusClient, user: str) -> None:
    """Create `user` with its role, or make it again when its password is not today's."""
    if user not in root.list_roles():
        root.create_role(user)
    for kind, privilege in PRIVILEGES[user]:
        root.grant_privilege(user, kind, privilege, ANY)
    if user in root.list_users():
        try:
            connect(user, secret(user))
        except MilvusException:
            root.drop_user(user)
    if user not in root.list_users():
        root.create_user(user, secret(user))
    root.grant_role(user, user)


def main() -> int:
    """Try until it works or the time is over; the last error is what the log ends with."""
    give_up = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            root = connect_root()
            for user in PRIVILEGES:
                state_account(root, user)
        except MilvusException as error:
            if time.monotonic() > give_up:
                print(f"accounts: expected root, app and reader, observed {error}", file=sys.stderr)
                return 1
            time.sleep(0.5)
        else:
            print("accounts: root, app and reader are in place")
            return 0


if __name__ == "__main__":
    sys.exit(main())
