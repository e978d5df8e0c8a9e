#!/opt/venv/bin/python
"""Healthy: this member is the primary, and the application's own account reads its database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

DEADLINE_MS = 2500


def main() -> int:
    """Return 0 when healthy, else print why not and return 1."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        "127.0.0.1",
        27017,
        directConnection=True,
        username="app",
        password=Path("/run/secrets/mongodb_app").read_text(),
        authSource="admin",
        serverSelectionTimeoutMS=DEADLINE_MS,
        connectTimeoutMS=DEADLINE_MS,
        socketTimeoutMS=DEADLINE_MS,
    )
    try:
        if not client.admin.command("hello").get("isWritablePrimary"):
            print("mongodb: expected a primary, observed another state")
            return 1
        client["mongodb"]["users"].find_one({}, max_time_ms=DEADLINE_MS)
    except PyMongoError as error:
        print(f"mongodb: expected an answer to the query, observed {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
