#!/usr/bin/python3
"""Healthy: the application's own account lists the collections and queries each that is loaded.

/healthz answers long before data can be queried, so it is not asked. The server's REST door needs no client
library, whose import alone would take a second of processor time at every check.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ADDRESS = "http://127.0.0.1:19530/v1/vector"
DEADLINE_SECONDS = 4
OK = 200
# A collection that nobody wants loaded is the application's business. One that should be and is not yet, as
# after a restart, is not: queries of it are refused.
NOT_LOADED = "LoadStateNotLoad"


def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the server's answer to one authenticated request."""
    password = Path("/run/secrets/milvus_app").read_text()
    request = urllib.request.Request(  # noqa: S310 - the scheme is fixed
        f"{ADDRESS}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer app:{password}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
        content: dict[str, Any] = json.load(answer)
    return content


def complaint() -> str | None:
    """Return what is wrong; None when nothing is."""
    listed = ask("collections")
    if listed.get("code") != OK:
        return f"expected the list of collections, observed {listed}"
    for collection in listed.get("data") or []:
        described = ask(f"collections/describe?collectionName={urllib.parse.quote(collection)}")
        if described.get("code") != OK:
            return f"expected a description of {collection}, observed {described}"
        state = described["data"]["load"]
        if state == NOT_LOADED:
            continue
        key = next(field for field in described["data"]["fields"] if field["primaryKey"])
        # Any condition will do: that there is an answer counts, not which.
        least = '""' if key["type"].lower().startswith("varchar") else "0"
        body = {"collectionName": collection, "filter": f"{key['name']} >= {least}", "limit": 1}
        answer = ask("query", body)
        if answer.get("code") != OK:
            return f"expected a query of {collection} ({state}) to be answered, observed {answer}"
    return None


def main() -> int:
    """Return 0 when healthy, else print why not and return 1."""
    try:
        wrong = complaint()
    except (OSError, ValueError, KeyError) as error:
        wrong = f"expected an answer, observed {error!r}"
    if wrong is not None:
        print(f"milvus: {wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
