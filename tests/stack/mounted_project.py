"""A compose project of a test's own: its service has volumes and a folder of the host, and never runs."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.compose import ComposeEngine
from rollproof.profile.profile import Engine
from rollproof.profile.sections import StoreProfile
from rollproof.stores.mounts.descriptor import MountsProfile
from tests.stack.scratch_project import docker

STORE = "state"
DATA = "app:/data"
"""The folder of the host; all others are volumes."""


@dataclass(frozen=True, slots=True)
class MountedProject:
    """`paths` are the mounts' places on this host, by their names in the profile."""

    name: str
    file: Path
    engine: ComposeEngine
    control: ComposeControl
    paths: dict[str, Path]

    def profile(self, *held: str) -> StoreProfile:
        """Return the profile of a store of these mounts."""
        return MountsProfile(kind="mounts", risk="low", held=held, together=())


@contextmanager
def mounted_project(image: str, folder: Path, volumes: Iterable[str]) -> Iterator[MountedProject]:
    """Give a project with a container on `image`, with `volumes` below ``/app``; remove it at the end."""
    names = list(volumes)
    data = folder / "data of users"
    data.mkdir()
    file = folder / "compose.yaml"
    mounts = [f"{name}:/app/{name}" for name in names]
    mounts.append(f"{{type: bind, source: '{data}', target: /data}}")
    lines = ["services:", "  app:", f"    image: {image}", "    pull_policy: never", "    volumes:"]
    lines += [f"      - {mount}" for mount in mounts]
    file.write_text("\n".join([*lines, "volumes:", *(f"  {name}: {{}}" for name in names), ""]))
    project = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    command = ("compose", "--project-name", project, "--file", str(file))
    try:
        docker(*command, "create", "--no-build")
        paths = {f"app:/app/{name}": _mountpoint(f"{project}_{name}") for name in names}
        for path in paths.values():
            empty(path)
        profile = Engine(kind="compose", project=project, files=(file,))
        engine, control = ComposeEngine(project, 30), ComposeControl(profile)
        yield MountedProject(project, file, engine, control, {**paths, DATA: data})
    finally:
        docker(*command, "down", "--volumes", "--timeout=1")


def _mountpoint(volume: str) -> Path:
    return Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))


def put(path: Path, content: bytes, mode: int = 0o640) -> None:
    """Write a file with its permissions."""
    path.write_bytes(content)
    path.chmod(mode)


def empty(path: Path) -> None:
    """Empty a folder, and give it the permissions of a new one."""
    for one in path.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()
    os.chown(path, 0, 0)
    path.chmod(0o755)


def seen(path: Path) -> dict[str, object]:
    """Return all that there is of each file below `path`, and of itself; of times whole seconds."""
    found = [path]
    for folder, folders, files in os.walk(path):
        found += [Path(folder) / name for name in (*folders, *files)]
    return {repr(os.fsencode(one.relative_to(path))): _seen(one) for one in found}


def _seen(path: Path) -> object:
    about = path.lstat()
    content: object = None
    if stat.S_ISLNK(about.st_mode):
        content = path.readlink()
    elif stat.S_ISREG(about.st_mode):
        content = path.read_bytes(), about.st_nlink
    return about.st_mode, about.st_uid, about.st_gid, int(about.st_mtime), content
