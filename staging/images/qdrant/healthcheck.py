#!/usr/bin/python3
"""Healthy: every collection is listed to the operator's key, and each answers an exact count."""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ADDRESS = "http://127.0.0.1:6333"
DEADLINE_SECONDS = 3


def ask(path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return the result of one authenticated request."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is fixed
        f"{ADDRESS}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "api-key": Path("/run/secrets/qdrant_operator").read_text(),
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
        return json.load(answer)["result"]


def main() -> int:
    """Return 0 when healthy, else print why not and return 1."""
    try:
        for collection in ask("collections")["collections"]:
            name = urllib.parse.quote(collection["name"], safe="")
            ask(f"collections/{name}/points/count", {"exact": True})
    except (OSError, ValueError, KeyError) as error:
        print(f"qdrant: expected its collections to be counted, observed {error!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
