"""Volumes copied while their containers run, as of one moment: these are paused for the last changes alone.

As a virtual machine is moved while it runs. The first copy takes as long as the volumes are large. What has
changed since is copied until that is quick enough for a pause, and a last time in the pause: all volumes then
stand still at one moment. What has changed is told by GNU tar's own snapshot files.

A pause never takes longer than was said: a process of its own ends it, even if this one is killed.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path

from fixtures.engines.engine import Container
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.system.command import Deadline, end_group, inherited, run_command
from fixtures.system.side_by_side import every
from rollback_actions.containers import volumes

ROUNDS = 4
"""The most copies while the containers run, the first included."""
WATCH_SCRIPT = 'sleep "$1" && shift && exec docker unpause "$@"'
# Where a helper keeps its snapshot files, and the copy that it makes in the pause: not below the volume.
_PLACE = "/rollproof"
_TAR = "tar --create --format=posix --sparse --numeric-owner"
# 1 is the exit code for files that changed while they were read: the next copy has them again.
_FIRST = f"""
mkdir -p {_PLACE} &&
{_TAR} --listed-incremental={_PLACE}/0 --directory={volumes.INSIDE} --file=- .
test $? -le 1
"""
# Of its own copy of the last snapshot file: a copy that is given up leaves that as it was.
_LATER = f"""
cp {_PLACE}/$1 {_PLACE}/$2 &&
{_TAR} --listed-incremental={_PLACE}/$2 --directory={volumes.INSIDE} --file={_PLACE}/$2.tar .
test $? -le $3
"""
Helpers = Mapping[str, str]
"""The helper container of each volume."""


def copy(containers: Iterable[Container], folder: Path, pause: float, deadline: Deadline) -> float | None:
    """Write each volume of `containers` to `folder/<volume>.tar`, and what changed since to further files.

    Those are `<volume>.tar.1`, `<volume>.tar.2` and so on; `volumes.load` reads them all. The containers are
    paused once, for at most `pause` seconds. Return for how many, or None if that is too short for what
    changes there: nothing is in `folder` then.

    Raises:
        ActionFailed: as `volumes.save`; a paused container may be used by none but these.
        Unverifiable: the deadline passed.
    """
    containers = tuple(containers)
    images = volumes.images_by_volume(containers)
    for volume in images:
        volumes.remove_helpers(volume, deadline)
        _refuse_others(volume, containers, deadline)
    with ExitStack() as opened:
        helpers = {
            volume: opened.enter_context(_helper_of(volume, image, deadline))
            for volume, image in images.items()
        }
        count = _while_running(helpers, folder, pause, deadline)
        paused = count and _while_paused(helpers, containers, count, pause, deadline)
        if not paused:
            for volume in images:
                for number in range(ROUNDS):
                    _file(folder, volume, number).unlink(missing_ok=True)
            return None
        _fetch(helpers, folder, count, deadline)
    for volume, image in images.items():
        for number in range(count + 1):
            volumes.refuse_cut(volume, image, _file(folder, volume, number), deadline)
    return paused


def _while_running(helpers: Helpers, folder: Path, pause: float, deadline: Deadline) -> int:
    """Copy until changes take less than half of a pause; return the number of copies, 0 if they never do."""

    def first(volume: str) -> None:
        _ask(helpers[volume], _FIRST, (), volume, deadline, stdout=_file(folder, volume, 0))

    every(first, helpers, name="volumes")
    for number in range(1, ROUNDS):
        began = time.monotonic()
        _copy_changes(helpers, number, deadline, running=True)
        seconds = time.monotonic() - began
        _fetch(helpers, folder, number, deadline)
        if seconds < pause / 2:
            return number + 1
    return 0


def _while_paused(
    helpers: Helpers, containers: Sequence[Container], number: int, pause: float, deadline: Deadline
) -> float:
    """Copy what has changed, paused; return for how many seconds they were, 0.0 if that was too short."""
    names = [container.name for container in containers if container.running]
    limit = Deadline(pause)
    try:
        with ExitStack() as opened:
            try:
                opened.enter_context(_paused(names, limit))
            except ActionFailed:  # the kernel may refuse while processes fork
                return 0.0
            _copy_changes(helpers, number, limit, running=False)
            # Later than that, they may have run again before it was done.
            in_time = not limit.passed
    except Unverifiable:
        if deadline.passed or not limit.passed:
            raise
        return 0.0
    return limit.seconds - limit.remaining if in_time else 0.0


def _copy_changes(helpers: Helpers, number: int, deadline: Deadline, *, running: bool) -> None:
    """Let each helper copy what has changed since copy `number` - 1, into a file of its own."""
    arguments = (str(number - 1), str(number), "1" if running else "0")
    every(lambda volume: _ask(helpers[volume], _LATER, arguments, volume, deadline), helpers, name="volumes")


def _fetch(helpers: Helpers, folder: Path, number: int, deadline: Deadline) -> None:
    """Take copy `number` of each helper into `folder`; the helper keeps only its snapshot file."""

    def fetch(volume: str) -> None:
        script, file = f"cat {_PLACE}/$1.tar && rm {_PLACE}/$1.tar", _file(folder, volume, number)
        _ask(helpers[volume], script, (str(number),), volume, deadline, stdout=file)

    every(fetch, helpers, name="volumes")


def _file(folder: Path, volume: str, number: int) -> Path:
    whole = folder / f"{volume}.tar"
    return volumes.later_file(whole, number) if number else whole


def _ask(
    helper: str,
    script: str,
    arguments: Sequence[str],
    volume: str,
    deadline: Deadline,
    *,
    stdout: Path | None = None,
) -> None:
    command = ["docker", "exec", helper, "sh", "-c", script, "sh", *arguments]
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


def _refuse_others(volume: str, containers: Sequence[Container], deadline: Deadline) -> None:
    """Refuse if another container than these can change the volume meanwhile, whatever its project."""
    listing = ["docker", "ps", f"--filter=volume={volume}", "--format={{.Names}}"]
    users = run_command(listing, what=f"look for users of volume {volume}", deadline=deadline).split()
    if others := sorted(set(users) - {container.name for container in containers}):
        raise ActionFailed(
            what=f"volume {volume}",
            expected="mounted by the store's own containers alone",
            observed=f"also by {', '.join(others)}",
            source="docker ps",
            hint="name all services that hold the store's data in its `services`, or stop the others",
        )
