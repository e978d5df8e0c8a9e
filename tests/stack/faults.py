"""Faults that every store's tests need: nobody listens, nobody answers, a backup that is not whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPOILED = ("cut", "flipped", "missing", "added", "unfinished")


def closed_port() -> int:
    """Return a port of this host on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def spoil(folder: Path, how: str) -> None:
    """Damage the backup in `folder` in one of the ways of `SPOILED`."""
    victim = max(
        (file for file in folder.iterdir() if file.name != "backup.json"), key=lambda f: f.stat().st_size
    )
    content = victim.read_bytes()
    middle = len(content) // 2
    match how:
        case "cut":
            victim.write_bytes(content[:-1])
        case "flipped":
            victim.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "missing":
            victim.unlink()
        case "added":
            (folder / f"{victim.name}.copy").write_bytes(content)
        case "unfinished":
            (folder / "backup.json").unlink()
        case _:
            raise ValueError(how)
