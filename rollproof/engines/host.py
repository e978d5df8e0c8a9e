"""Free space of file systems: this host's, and data volumes', seen from here or through a container.

Every question is asked through testinfra and under `timeout`: asking the kernel directly would hang with a
dead network file system. Containers are asked by their own `stat`, not by testinfra's container backend. The
backend needs a shell in the image, and reports a container that does not answer as a missing file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from shlex import quote

from testinfra.backend.local import LocalBackend
from testinfra.host import Host as TestinfraHost

from rollproof.engines.address import engine_is_here
from rollproof.engines.engine import Container, Mount
from rollproof.errors import Unverifiable
from rollproof.system.docker_context import context_name

# Block size; blocks in all, free, free for non-root users; inodes in all, free.
FORMAT = "%S %b %f %a %c %d"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system that holds `path`: `size` in bytes, and percent free as `df` counts them.

    Blocks reserved for root are neither used nor free, so a full disk is 0 percent free.
    `inodes_free_percent` is None for a file system that does not count inodes.
    """

    path: str
    size: int
    free_percent: float
    inodes_free_percent: float | None


class _Punctual(LocalBackend):  # type: ignore[misc]  # testinfra has no types
    """This host, with `seconds` as the limit of each question; testinfra itself waits for ever.

    It starts its programs itself, not by `rollproof.system.command`, since testinfra's modules ask that way.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self._seconds = seconds

    def get_command(self, command: str, *args: str) -> str:
        return str(self.quote(f"timeout -k 1 {self._seconds} sh -c %s", super().get_command(command, *args)))


class Host:
    """This host, and the volumes of containers whose engine runs here or elsewhere."""

    def __init__(self, deadline_seconds: float) -> None:
        """Ask nothing yet; each later question has `deadline_seconds`."""
        self._seconds = ceil(deadline_seconds)

    def file_system(self, path: str) -> FileSystem:
        """Return the file system of `path` on this host.

        Raises:
            Unverifiable: the path does not exist, or no answer came in time.
        """
        return self._ask(path, path, "this host", "")

    def volume(self, container: Container, mount: Mount) -> FileSystem:
        """Return the file system of a volume of `container`, named by the mount's name.

        The container is asked, since it sees the volume that its data is written to. If it does not run, or
        has no `stat`, the volume's folder on this host is measured instead, provided the engine is here.

        Raises:
            Unverifiable: neither way gives an answer.
        """
        if not container.running and self._holds(mount):
            return self._ask(mount.source, mount.name, "this host", "")
        try:
            inside = f"env DOCKER_CONTEXT={quote(context_name())} docker exec {container.id} "
            return self._ask(mount.destination, mount.name, f"container {container.name}", inside)
        except Unverifiable:
            if not self._holds(mount):
                raise
            return self._ask(mount.source, mount.name, "this host", "")

    def _ask(self, path: str, name: str, source: str, through: str) -> FileSystem:
        result = self._local.run(f"{through}stat -f -c %s %s", FORMAT, path)
        if result.rc != 0:
            late = result.rc in {124, 137}
            raise Unverifiable(
                what=f"file system of {name}",
                expected=f"its figures within {self._seconds} s",
                observed="no answer" if late else result.stderr.strip() or f"exit code {result.rc}",
                source=f"stat -f {path}, {source}",
                hint="see that the path exists there, and that the image has the program stat",
            )
        return _file_system(name, result.stdout, f"stat -f {path}, {source}")

    def _holds(self, mount: Mount) -> bool:
        """Return whether the volume's folder is on this host.

        Raises:
            Unverifiable: the answer was neither yes nor no, as after a timeout.
        """
        try:
            return engine_is_here() and bool(self._local.file(mount.source).is_directory)
        except AssertionError as error:
            # Testinfra raises this when the command's exit code means neither yes nor no.
            # Its text alone says which code: all before the command.
            raise Unverifiable(
                what=f"folder of the volume {mount.name}",
                expected=f"an answer within {self._seconds} s",
                observed=str(error).partition(" for ")[0],
                source=f"test -d {mount.source}, this host",
                hint="see whether it is on a network file system that does not answer",
            ) from None

    @cached_property
    def _local(self) -> TestinfraHost:
        return TestinfraHost(_Punctual(self._seconds))


def _file_system(name: str, figures: str, source: str) -> FileSystem:
    try:
        block, blocks, free, available, inodes, inodes_free = (int(word) for word in figures.split())
    except ValueError:
        raise Unverifiable(
            what=f"file system of {name}",
            expected="six numbers",
            observed=repr(figures[:200]),
            source=source,
            hint="see what the program stat is there: GNU's and busybox's are known",
        ) from None
    usable = blocks - free + available
    return FileSystem(
        path=name,
        size=block * blocks,
        free_percent=100 * available / usable if usable else 0.0,
        inodes_free_percent=100 * inodes_free / inodes if inodes else None,
    )
