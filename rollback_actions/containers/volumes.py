"""Volumes as tar files: saved and loaded by a helper container of the store's own image.

A volume or folder of the application is first emptied by a helper of any image of the target that has `find`.
Then the engine itself fills it, and asks nothing of the service's image.

A helper sees one volume and nothing else: no network, no other mount. It uses an image of the store's
containers, because only those are certain to be there. One of them must hold GNU tar, find and a shell.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from rollproof.engines.compose import NO_PROJECT
from rollproof.engines.engine import Container, Mount
from rollproof.engines.insides import asking
from rollproof.errors import ActionFailed
from rollproof.reading import open_regular
from rollproof.system.command import Deadline, run_command

HELPER_LABEL = "rollproof.helper"
# The deadline for removing a helper whose work was interrupted.
CLEANUP_SECONDS = 20.0
_POLL_SECONDS = 0.1
_NOT_STOPPED = ("running", "restarting", "paused")
# The folder where a helper sees its volume.
INSIDE = "/volume"
# GNU tar ends an archive with two blocks of zeros; it accepts a truncated archive without them.
END_OF_ARCHIVE = bytes(1024)
# The POSIX format keeps fractions of seconds, long names and large files alike.
_CREATE = f"tar --create --format=posix --sparse --numeric-owner --directory={INSIDE} --file=-"
# The times of folders are set last: what they hold may come in any order.
_EXTRACT = (
    f"tar --extract --numeric-owner --same-owner --preserve-permissions --delay-directory-restore"
    f" --directory={INSIDE} --file=-"
)
_REPLACE_SCRIPT = f"find {INSIDE} -mindepth 1 -delete && exec {_EXTRACT}"
TOOLS = ("sh", "-c", "command -v tar && command -v find")


def save(containers: Iterable[Container], folder: Path, deadline: Deadline) -> Sequence[Path]:
    """Write each volume of `containers` to `folder/<volume>.tar` (mode 600); return the files.

    A file that appears is complete.
    """
    images = helper_images(containers, deadline)
    for volume in images:
        remove_helpers(volume, deadline)
        _refuse_users(_volume(volume), deadline)
    files = []
    for volume, image in images.items():
        file = folder / f"{volume}.tar"
        _help(volume, image, [*_CREATE.split(), "."], deadline, read_only=True, stdout=file)
        _refuse_cut(volume, file)
        files.append(file)
    return files


def load(containers: Iterable[Container], folder: Path, deadline: Deadline) -> None:
    """Make each volume of `containers` equal to `folder/<volume>.tar`. A second run ends in the same state.

    That a tar's content is what was saved is for the checksums of a backup's manifest to show, before this.

    Raises:
        ActionFailed: a tar is missing, truncated or of another volume, or a container that uses a volume
            runs; nothing was changed then. Also if the extraction failed.
        Unverifiable: the deadline passed; the volumes may be half loaded.
    """
    images = helper_images(containers, deadline)
    files = {volume: folder / f"{volume}.tar" for volume in images}
    expected = {file.name for file in files.values()}
    observed = {file.name for file in folder.glob("*.tar")}
    if expected != observed:
        raise ActionFailed(
            what="saved volumes",
            expected=", ".join(sorted(expected)),
            observed=", ".join(sorted(observed)) or "no tar at all",
            source=str(folder),
            hint="give the folder that was saved for these services, whole",
        )
    for volume in images:
        remove_helpers(volume, deadline)
        _refuse_users(_volume(volume), deadline)
        _refuse_cut(volume, files[volume])
    for volume, image in images.items():
        _help(volume, image, ["sh", "-c", _REPLACE_SCRIPT], deadline, stdin=files[volume])


def replace(
    mount: Mount, images: Sequence[str], archive: Path, deadline: Deadline, spared: Sequence[str] = ()
) -> None:
    """Make the files of `mount`, a volume or a folder of the host, those in the tar `archive`.

    The entries of the tar are below a folder with the name of `INSIDE`, whose own permissions count too. The
    first of `images` with `find` empties the mount. The paths `spared`, where the tar has nothing, are left
    alone. A second run ends in the same state.

    Raises:
        ActionFailed: a container that can write there is not stopped, or no image has `find`; nothing was
            changed then. Also if it could not be emptied or filled.
        Unverifiable: the deadline passed; the mount may be half filled.
    """
    remove_helpers(mount.name, deadline)
    _refuse_users(mount, deadline, writers=True)
    image = _able(mount.name, mount.kind, images, ["find", INSIDE, "-maxdepth", "0"], deadline)
    if image is None:
        raise ActionFailed(
            what=f"image that can empty {mount.name}",
            expected="one of the target's with find",
            observed=f"{len(images)} without",
            source="images of the target's containers",
            hint="what came after the backup is deleted by a program: have one such image in the project",
        )
    _help(mount.name, image, _emptying(spared), deadline, kind=mount.kind)
    name, options = helper(mount.name, mount.kind)
    create = ["docker", "create", *options, "--entrypoint=sh", image]
    try:
        run_command(create, what=f"helper of {mount.name}", deadline=deadline)
        fill = ["docker", "cp", "-", f"{name}:{Path(INSIDE).parent}"]
        run_command(fill, what=f"files of {mount.name}", deadline=deadline, stdin=archive)
    finally:
        remove_helpers(mount.name, Deadline(CLEANUP_SECONDS))


def keep(mount: Mount, images: Sequence[str], archive: Path, deadline: Deadline) -> None:
    """Write the files of `mount`, a volume or a folder of the host, to the tar `archive`, for `replace`.

    Nothing has to mount it, and nothing runs. A volume that is not there is made, and is empty.
    """
    remove_helpers(mount.name, deadline)
    name, options = helper(mount.name, mount.kind, read_only=True)
    create = ["docker", "create", *options, "--entrypoint=sh", *images[:1]]
    try:
        run_command(create, what=f"helper of {mount.name}", deadline=deadline)
        read = ["docker", "cp", f"{name}:{INSIDE}", "-"]
        run_command(read, what=f"files of {mount.name}", deadline=deadline, stdout=archive)
    finally:
        remove_helpers(mount.name, Deadline(CLEANUP_SECONDS))


def _emptying(spared: Sequence[str]) -> list[str]:
    """Return the command that deletes all but the paths `spared`, what is below them, and their folders.

    A host's folder holds what is mounted inside it once more, if it is below that folder on the host too.
    """
    folders = {str(folder) for path in spared for folder in PurePosixPath(path).parents} - {"."}
    # Names are patterns to `find`.
    patterns = [re.sub(r"[\\\[?*]", r"\\\g<0>", path) for path in (*folders, *spared)]
    patterns += [f"{pattern}/*" for pattern in patterns[len(folders) :]]
    kept = [word for pattern in patterns for word in ("!", "-path", f"{INSIDE}/{pattern}")]
    return ["find", INSIDE, "-mindepth", "1", *kept, "-delete"]


def _able(
    name: str, kind: str, images: Iterable[str], command: Sequence[str], deadline: Deadline
) -> str | None:
    """Return the first of `images` in which `command` succeeds, None if there is none."""
    for image in dict.fromkeys(images):
        with suppress(ActionFailed):
            _help(name, image, command, deadline, kind=kind, read_only=True)
            return image
    return None


def _refuse_users(mount: Mount, deadline: Deadline, *, writers: bool = False) -> None:
    """Refuse if a container that is not stopped mounts `mount`, whatever its project.

    With `writers`, only one that can write there.
    """
    with asking(f"users of {mount.name}", "any", deadline.remaining) as api:
        found = api.containers(filters={"status": [*_NOT_STOPPED]})
    users = [
        f"{one['Names'][0].removeprefix('/')} is {one['State']}"
        for one in found
        if any(_reaches(has, mount) and (has["RW"] or not writers) for has in one["Mounts"])
    ]
    if users:
        raise ActionFailed(
            what=f"{mount.kind} {mount.name}",
            expected=f"every container that {'can write there' if writers else 'mounts it'} stopped",
            observed=", ".join(users),
            source="docker ps",
            hint="name its service in application.services, so that it is stopped",
        )


def _volume(name: str) -> Mount:
    return Mount(name, "volume", INSIDE, "")


def _reaches(other: Mapping[str, Any], mount: Mount) -> bool:
    """Return True if a mount, as the engine tells it, is `mount`, or of a folder around it or inside it."""
    if mount.kind != "bind":
        return bool(other.get("Name") == mount.name)
    # Who mounts the whole host watches over it, and is no writer of one application's files.
    there, here = Path(other.get("Source") or "/"), Path(mount.source)
    return there != Path("/") and (there.is_relative_to(here) or here.is_relative_to(there))


def helper_images(containers: Iterable[Container], deadline: Deadline) -> Mapping[str, str]:
    """Return, for each volume that `containers` mount, the image of its helper. See `images_by_volume`.

    Where the containers have several images, it is one that has the programs of a copy: some have not even a
    shell.
    """
    images = images_by_volume(containers)
    if len({*images.values()}) == 1:
        return images
    able = _able(next(iter(images)), "volume", images.values(), TOOLS, deadline)
    return images if able is None else dict.fromkeys(images, able)


def images_by_volume(containers: Iterable[Container]) -> Mapping[str, str]:
    """Return, for each volume that `containers` mount, the image of one of these containers.

    A folder of the host that they can write to may hold data, too, which no copy of the volumes has.
    """
    found: dict[str, str] = {}
    names, folders = [], []
    for container in containers:
        names.append(container.name)
        for mount in container.mounts:
            if mount.kind == "volume":
                found.setdefault(mount.name, container.image_id)
            elif mount.kind == "bind" and mount.writable and not Path(mount.source).is_file():
                folders.append(f"{mount.source} at {mount.destination} of {container.name}")
    if folders:
        raise ActionFailed(
            what="data of the store's containers",
            expected="volumes alone, which are copied together",
            observed=f"folders of the host that they can write to: {', '.join(folders)}",
            source=f"mounts of {', '.join(names)}",
            hint="have a named volume in its place, or mount it read-only (`:ro`) if it holds no data",
        )
    if not found:
        raise ActionFailed(
            what="data volumes",
            expected="at least one",
            observed="none",
            source=f"mounts of {', '.join(names) or 'no container'}",
            hint="name the services that hold the data in the store's `services`; bind mounts do not count",
        )
    return found


def _refuse_cut(volume: str, file: Path) -> None:
    """Refuse a saved volume without the end of an archive."""
    with open_regular(file) as archive:
        size = archive.seek(0, os.SEEK_END)
        archive.seek(max(0, size - len(END_OF_ARCHIVE)))
        end = archive.read()
    if end != END_OF_ARCHIVE or size % 512:
        raise ActionFailed(
            what=f"saved volume {volume}",
            expected="a tar archive with its end marker",
            observed=f"{size} bytes that do not end like one",
            source=str(file),
            hint="it was cut short or changed: use another backup",
        )


def _help(
    volume: str,
    image: str,
    command: Sequence[str],
    deadline: Deadline,
    *,
    read_only: bool = False,
    stdin: Path | None = None,
    stdout: Path | None = None,
    kind: str = "volume",
) -> None:
    _, options = helper(volume, kind, read_only=read_only)
    # No log: the engine would write the whole archive into it a second time.
    options += ["--rm", "--no-healthcheck", "--log-driver=none", "--user=0:0", f"--entrypoint={command[0]}"]
    if stdin is not None:
        options.append("--interactive")
    try:
        run_command(
            ["docker", "run", *options, image, *command[1:]],
            what=f"{command[0]} of volume {volume}",
            deadline=deadline,
            stdin=stdin,
            stdout=stdout,
        )
    except BaseException:
        remove_helpers(volume, Deadline(CLEANUP_SECONDS))
        raise


def helper(volume: str, kind: str, *, read_only: bool = False) -> tuple[str, list[str]]:
    """Return a new helper's name, and the options that let it see `volume` and nothing else."""
    name = f"rollproof-helper-{uuid.uuid4().hex[:12]}"
    labels = {HELPER_LABEL: volume, **NO_PROJECT}
    options = [f"--name={name}", *(f"--label={label}={value}" for label, value in labels.items())]
    mount = f"type={kind},source={volume},destination={INSIDE}"
    mount += ",volume-nocopy" if kind == "volume" else ""
    mount += ",readonly" if read_only else ""
    return name, [*options, "--pull=never", "--network=none", "--mount", mount]


def remove_helpers(volume: str, deadline: Deadline) -> None:
    """Remove helpers of `volume`, also those that a killed run left running."""
    listing = ["docker", "ps", "--all", "--quiet", f"--filter=label={HELPER_LABEL}={volume}"]
    helpers = run_command(listing, what="look for helpers", deadline=deadline).split()
    if helpers:
        removal = ["docker", "rm", "--force", "--volumes", *helpers]
        try:
            run_command(removal, what=f"removal of helpers of {volume}", deadline=deadline)
        except ActionFailed:
            # One that ends at that moment is removed by the engine itself.
            while run_command(listing, what="look for helpers", deadline=deadline).split():
                if deadline.passed:
                    raise
                time.sleep(_POLL_SECONDS)
