#!/opt/venv/bin/python
"""Write milvus.yaml from the package's own template, run the server, end it so that the next starts soon."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import milvus

PROGRAMS = Path("/opt/milvus/bin")
DATA = Path("/var/lib/milvus")
# What a server that was killed leaves behind blocks its successor for so long: 20 s instead of 30 s. Less is
# no gain: a server that a busy machine held up for longer than this ends itself.
SESSION_SECONDS = 20
TEMPLATE_TTL = "    ttl: 30 # ttl value"
ETCD = "http://127.0.0.1:2379/v3"
SESSIONS, SESSIONS_END = "by-dev/meta/session/", "by-dev/meta/session0"
ETCD_SECONDS = 2.0


def write_configuration() -> None:
    """Write the server's configuration: standalone, embedded etcd, local storage; it asks who somebody is."""
    server = milvus.MilvusServer()
    server.set_base_dir(str(DATA))
    server.config.set("proxy_port", 19530)
    server.config.set("etcd_log_level", "warn")
    server.config.set("authorization_enabled", os.environ.get("AUTHORIZATION") != "off")
    server.config.resolve()
    path = DATA / "configs" / "milvus.yaml"
    text = path.read_text()
    if TEMPLATE_TTL not in text:
        raise ValueError(f"session ttl: expected {TEMPLATE_TTL!r}, observed none (from {path})")
    path.write_text(text.replace(TEMPLATE_TTL, f"    ttl: {SESSION_SECONDS} # ttl value"))


def end_sessions() -> None:
    """Take the server's sessions out of its etcd.

    It leaves them there when it ends. Until they expire its successor does not answer, since the
    coordinators' names are taken. It serves no query either, since the slowest proxy has the time of all.
    """
    found = _ask("kv/range", key=SESSIONS, range_end=SESSIONS_END)
    # The counter of the servers lies here too: it has no lease, and is to stay.
    names = [pair["key"] for pair in found.get("kvs", []) if "lease" in pair]
    _post("kv/txn", {"success": [{"request_delete_range": {"key": name}} for name in names]})


def _ask(path: str, **fields: str) -> dict[str, Any]:
    return _post(path, {name: base64.b64encode(text.encode()).decode() for name, text in fields.items()})


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the scheme is fixed
        f"{ETCD}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=ETCD_SECONDS) as answer:  # noqa: S310
        content: dict[str, Any] = json.load(answer)
    return content


def main() -> int:
    """Run the server until it ends or is asked to; its exit code is this one's."""
    write_configuration()
    os.chdir(DATA)
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": "9091",
        "MILVUS_RUN_DIR": str(DATA / "run"),
        "LD_LIBRARY_PATH": str(PROGRAMS),
    }
    server = subprocess.Popen([PROGRAMS / "milvus", "run", "standalone"], env=environment)

    def stop(*_: object) -> None:
        try:
            end_sessions()
        except (OSError, ValueError) as error:
            # The next server waits, then, until they expire.
            print(f"sessions: expected to end them, observed {error!r}", flush=True)
        # Asked to stop, this build waits for another server to take its segments over, and there is none.
        # Its log holds everything that was written, and does not need that.
        server.kill()

    signal.signal(signal.SIGTERM, stop)
    subprocess.Popen(["/usr/local/bin/accounts"])
    code = server.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
