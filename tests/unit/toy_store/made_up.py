"""What the subjects of the toy store are made of: no stack, no container, no server."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.sections import Address
from staging.stack.stack import Stack
from tests.unit.toy_store.descriptor import FolderProfile

STORE = "files"
ADDRESS = Address(host="127.0.0.1", port=9)
STACK, CONTROL = cast("Stack", None), cast("ComposeControl", None)


class Here:
    """Resolves addresses; a folder is where it is."""

    def resolve(self, address: Address) -> Endpoint:
        return Endpoint(str(address.host), address.port)


ENGINE = cast("ContainerEngine", Here())


def profile_of(folder: Path, collections: tuple[str, ...] = ("*",)) -> FolderProfile:
    """Return the profile of a folder."""
    return FolderProfile(
        kind="folder",
        address=ADDRESS,
        services=("files",),
        risk="low",
        folder=folder,
        collections=collections,
    )


def put(path: Path, content: bytes, mode: int = 0o640) -> None:
    """Write a file with its permissions."""
    path.write_bytes(content)
    path.chmod(mode)
