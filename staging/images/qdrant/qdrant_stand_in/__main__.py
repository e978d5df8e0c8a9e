"""Serve on port 6333 with the keys of this container's secrets."""

from __future__ import annotations

from pathlib import Path

import uvicorn

from .server import create_app

if __name__ == "__main__":
    secrets = Path("/run/secrets")
    uvicorn.run(
        create_app(
            Path("/qdrant"),
            full_key=(secrets / "qdrant_operator").read_text(),
            read_only_key=(secrets / "qdrant_reader").read_text(),
        ),
        host="0.0.0.0",  # noqa: S104 - the container's own network; the published port is loopback
        port=6333,
        log_level="warning",
        timeout_graceful_shutdown=5,
        # The client closes first: a request on a connection that the server is closing would have no answer.
        timeout_keep_alive=3600,
    )
