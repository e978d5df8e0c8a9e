"""Volumes copied while their containers run, as of one moment: these are paused for the last changes alone.

The first copy takes as long as the volumes are large, and is of no one moment. Then the containers are
paused, and what has changed since is copied again. Each volume is listed before the first copy and in the
pause. An entry that is new, or whose inode, size, owner, mode or times differ, is copied again. So is one
whose status changed shortly before the first list: a file system's clock is coarse, and another write may
have the same time. With the second list `volumes.load` deletes what is there no more, and compares what it
has made. GNU tar's own incremental archives are no way: they lose track of folders that are made and removed.

A store that writes to a file through memory that is mapped, without any call, changes no time of that file.

A pause never takes longer than was said: a process of its own ends it, even if this one is killed. In a
container that process would be killed too, so there nothing is paused.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path

from fixtures.engines.engine import Container
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.system.command import Deadline, end_group, inherited, run_command
from fixtures.system.in_container import is_in_a_container
from fixtures.system.side_by_side import every
from rollback_actions.containers import volumes

WATCH_SCRIPT = 'sleep "$1" && shift && exec docker unpause "$@"'
# What has changed so many seconds before the first list may change again at the same time.
COARSE_SECONDS = 2
_PLACE = volumes.PLACE
_INODES = (
    f"cd {volumes.INSIDE} && find . -mindepth 1 ! -type s"
    r" -printf '%i %y %m %U %G %s %T@ %C@ %P\0'"
)
# 1 is the exit code for files that changed or went while they were read: they are copied again.
_FIRST = f"""
mkdir -p {_PLACE} && date +%s >{_PLACE}/began || exit 2
{{ {_INODES}; }} >{_PLACE}/inodes
test $? -le 1 && LC_ALL=C sort -z {_PLACE}/inodes >{_PLACE}/before || exit 2
{volumes.CREATE} .
test $? -le 1
"""
# All folders, since their times change with what is in them; the volume's own, too.
_CHANGES = rf"""
since=$(($(cat {_PLACE}/began) - {COARSE_SECONDS}))
{{ {_INODES}; }} >{_PLACE}/inodes && LC_ALL=C sort -z {_PLACE}/inodes >{_PLACE}/now &&
LC_ALL=C comm -z -13 {_PLACE}/before {_PLACE}/now >{_PLACE}/other &&
cut -z -d ' ' -f 9- {_PLACE}/other >{_PLACE}/changed &&
find . -mindepth 1 ! -type s \( -type d -o -newerct "@$since" \) -printf '%P\0' >>{_PLACE}/changed &&
printf '.\0' >>{_PLACE}/changed &&
LC_ALL=C sort -z -u {_PLACE}/changed -o {_PLACE}/changed &&
"""
_LAST = f"""
{_CHANGES}
{{ {volumes.LIST}; }} >{_PLACE}/list &&
{volumes.CREATE.replace("--file=-", f"--file={_PLACE}/changes.tar")} --no-recursion --null \
  --verbatim-files-from --files-from={_PLACE}/changed
"""
_FILES = {volumes.CHANGES: "changes.tar", volumes.LISTED: "list"}
Helpers = Mapping[str, str]
"""The helper container of each volume."""


def copy(containers: Iterable[Container], folder: Path, pause: float, deadline: Deadline) -> float | None:
    """Write each volume of `containers` to `folder/<volume>.tar`, and what changed since to two files more.

    The containers are paused once, for at most `pause` seconds. Return for how many, or None if that is too
    short for what changes there, or something else moved meanwhile: nothing is in `folder` then.

    Raises:
        ActionFailed: as `volumes.save`; a volume may be used by none but these containers.
        Unverifiable: the deadline passed.
    """
    containers = tuple(containers)
    running = [container for container in containers if container.running]
    named = volumes.images_by_volume(containers)
    if is_in_a_container() or (able := volumes.able_image(named, deadline)) is None:
        return None
    images = dict.fromkeys(named, able)
    for volume in images:
        volumes.remove_helpers(volume, deadline)
        _refuse_others(volume, running, deadline)
    with ExitStack() as opened:
        helpers = {
            volume: opened.enter_context(_helper_of(volume, image, deadline))
            for volume, image in images.items()
        }
        _copy_whole(helpers, folder, deadline)
        paused = _copy_changes(helpers, running, pause, deadline)
        if paused is None:
            for volume in images:
                (folder / f"{volume}.tar").unlink(missing_ok=True)
            return None
        _fetch(helpers, folder, deadline)
    for volume, image in images.items():
        whole = folder / f"{volume}.tar"
        for file in (whole, volumes.beside(whole, volumes.CHANGES)):
            volumes.refuse_cut(volume, image, file, deadline)
    return paused


def _copy_whole(helpers: Helpers, folder: Path, deadline: Deadline) -> None:
    def whole(volume: str) -> None:
        _ask(helpers[volume], _FIRST, volume, deadline, stdout=folder / f"{volume}.tar")

    every(whole, helpers, name="volumes")


def _copy_changes(
    helpers: Helpers, containers: Sequence[Container], pause: float, deadline: Deadline
) -> float | None:
    """Copy what has changed, paused; return for how many seconds, None if that is too short."""
    limit = Deadline(pause)
    try:
        with ExitStack() as opened:
            try:
                opened.enter_context(_paused([container.name for container in containers], limit))
            except ActionFailed:  # the kernel may refuse while processes fork
                return None
            every(lambda volume: _ask(helpers[volume], _LAST, volume, limit), helpers, name="volumes")
            still = _stood_still(helpers, containers, limit)
            # Later than that, they may have run again before it was done.
            in_time = not limit.passed
    except Unverifiable:
        if deadline.passed or not limit.passed:
            raise
        return None
    return limit.seconds - limit.remaining if still and in_time else None


def _stood_still(helpers: Helpers, containers: Sequence[Container], limit: Deadline) -> bool:
    """Return whether these very containers are paused, as they were started, and no other uses a volume."""
    form = "{{.Id}} {{.State.StartedAt}} {{.State.Paused}}"
    inspect = ["docker", "inspect", "--format", form, *(container.name for container in containers)]
    found = run_command(inspect, what="look at paused containers", deadline=limit).splitlines()
    ours = {container.name for container in containers}
    return sorted(found) == sorted(f"{one.id} {one.started} true" for one in containers) and all(
        not _others(volume, ours, limit) for volume in helpers
    )


def _fetch(helpers: Helpers, folder: Path, deadline: Deadline) -> None:
    """Take what each helper copied in the pause into `folder`."""

    def fetch(volume: str) -> None:
        for suffix, name in _FILES.items():
            file = volumes.beside(folder / f"{volume}.tar", suffix)
            _ask(helpers[volume], f"cat {_PLACE}/{name}", volume, deadline, stdout=file)

    every(fetch, helpers, name="volumes")


def _ask(helper: str, script: str, volume: str, deadline: Deadline, *, stdout: Path | None = None) -> None:
    command = ["docker", "exec", helper, "sh", "-c", script]
    run_command(command, what=f"copy of volume {volume}", deadline=deadline, stdout=stdout)


@contextmanager
def _helper_of(volume: str, image: str, deadline: Deadline) -> Iterator[str]:
    """Give a container that can read `volume` and does nothing; left behind, it ends after the deadline."""
    name, options = volumes.helper(volume, "volume", read_only=True)
    options += ["--detach", "--rm", "--init", "--no-healthcheck", "--log-driver=none", "--user=0:0"]
    seconds = ceil(deadline.remaining + volumes.CLEANUP_SECONDS)
    command = ["docker", "run", *options, "--entrypoint=sleep", image, str(seconds)]
    try:
        run_command(command, what=f"helper of volume {volume}", deadline=deadline)
        yield name
    finally:
        volumes.remove_helpers(volume, Deadline(volumes.CLEANUP_SECONDS))


@contextmanager
def _paused(names: Sequence[str], limit: Deadline) -> Iterator[None]:
    """Pause the containers for the block, which may be longer than the pause: that ends at `limit`."""
    watch = subprocess.Popen(
        ["sh", "-c", WATCH_SCRIPT, "sh", str(limit.remaining), *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=inherited(),
        start_new_session=True,
    )
    try:
        run_command(["docker", "pause", *names], what=f"pause of {', '.join(names)}", deadline=limit)
        yield
    finally:
        _unpause(names)
        # Not sooner: if this is interrupted, the other process goes on.
        end_group(watch, signal.SIGKILL)


def _unpause(names: Sequence[str]) -> None:
    """End the pause of all that are paused; some may not be, after a pause that failed."""
    limit = Deadline(volumes.CLEANUP_SECONDS)
    try:
        run_command(["docker", "unpause", *names], what=f"end of the pause of {names[0]}", deadline=limit)
    except ActionFailed:
        listing = ["docker", "ps", "--filter=status=paused", "--format={{.Names}}"]
        paused = run_command(listing, what="look for paused containers", deadline=limit).split()
        if set(paused) & set(names):
            raise


def _others(volume: str, ours: set[str], deadline: Deadline) -> list[str]:
    """Return the other containers that use the volume now, whatever their project; helpers only read it."""
    form = f'{{{{.Names}}}} {{{{.Label "{volumes.HELPER_LABEL}"}}}}'
    users = volumes.users_of(volume, form, deadline)
    told = (user.partition(" ") for user in users)
    return sorted(name for name, _, helps in told if not helps and name not in ours)


def _refuse_others(volume: str, containers: Sequence[Container], deadline: Deadline) -> None:
    """Refuse if another container than these can change the volume meanwhile."""
    if others := _others(volume, {container.name for container in containers}, deadline):
        raise ActionFailed(
            what=f"volume {volume}",
            expected="mounted by the store's own containers alone",
            observed=f"also by {', '.join(others)}",
            source="docker ps",
            hint="name all services that hold the store's data in its `services`, or stop the others",
        )
