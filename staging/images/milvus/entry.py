#!/opt/venv/bin/python
"""Write milvus.yaml from the package's own template, state the accounts, become the server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import milvus

PROGRAMS = Path("/opt/milvus/bin")
DATA = Path("/var/lib/milvus")
# A session that a killed server left behind blocks its successor until it expires: 10 s instead of 30 s. Less
# is no gain: a server that a busy machine held up for longer than this ends itself.
SESSION_SECONDS = 10
TEMPLATE_TTL = "    ttl: 30 # ttl value"


def write_configuration() -> None:
    """Write the server's configuration: standalone, embedded etcd, local storage, authorization on."""
    server = milvus.MilvusServer()
    server.set_base_dir(str(DATA))
    server.config.set("proxy_port", 19530)
    server.config.set("etcd_log_level", "warn")
    server.config.set("authorization_enabled", True)
    server.config.resolve()
    path = DATA / "configs" / "milvus.yaml"
    text = path.read_text()
    if TEMPLATE_TTL not in text:
        raise ValueError(f"session ttl: expected {TEMPLATE_TTL!r}, observed none (from {path})")
    path.write_text(text.replace(TEMPLATE_TTL, f"    ttl: {SESSION_SECONDS} # ttl value"))


def main() -> None:
    """Replace this process with the server."""
    write_configuration()
    subprocess.Popen(["/usr/local/bin/accounts"])
    os.chdir(DATA)
    program = str(PROGRAMS / "milvus")
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": "9091",
        "MILVUS_RUN_DIR": str(DATA / "run"),
        "LD_LIBRARY_PATH": str(PROGRAMS),
    }
    os.execve(program, [program, "run", "standalone"], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
