"""Free space of file systems: this host's, and data volumes', seen from here or through a container.

Every question is asked by the program `stat`, which is ended at its deadline: asking the kernel directly
would hang with a dead network file system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollproof.engines.engine import Container, Mount
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.system.command import DEFAULT, Deadline, context_name, run_command

DEFAULT_HOST = "unix:///var/run/docker.sock"


def connection(context: str = "") -> dict[str, Any]:
    """Return the SDK's settings for a client: `base_url` and, if need be, `tls`.

    `context` is a docker context, by default the one in use.
    """
    name = context or context_name()
    if name == DEFAULT:
        from docker.utils import kwargs_from_env  # noqa: PLC0415 - the SDK only where it is used

        return {"base_url": DEFAULT_HOST, **kwargs_from_env()}
    from docker.context import Context  # noqa: PLC0415 - the same

    found = Context.load_context(name)
    if found is None or not found.Host:
        raise Unverifiable(
            what=f"docker context {name}",
            expected="a context with an address",
            observed="none",
            source="DOCKER_CONTEXT, or currentContext of docker's config.json",
            hint="docker context ls; then: docker context use NAME, or export DOCKER_HOST=unix:///…",
        )
    tls = found.tls_cfg.get("docker")
    return {"base_url": found.Host, **({} if tls is None else {"tls": tls})}


def endpoint(context: str = "") -> str:
    """Return where the engine of a docker context is asked, by default of the one in use: a URL."""
    return str(connection(context)["base_url"])


def engine_is_here() -> bool:
    """Return whether the engine runs on this host, so that its files are."""
    return endpoint().startswith("unix://")


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


class Host:
    """This host, and the volumes of containers whose engine runs here or elsewhere."""

    def __init__(self, deadline_seconds: float) -> None:
        """Ask nothing yet; each later question has `deadline_seconds`."""
        self._seconds = deadline_seconds

    def file_system(self, path: str) -> FileSystem:
        """Return the file system of `path` on this host."""
        return self._ask(path, path, "this host")

    def volume(self, container: Container, mount: Mount) -> FileSystem:
        """Return the file system of a volume of `container`, named by the mount's name.

        The container is asked, since it sees the volume that its data is written to. If it does not run, or
        has no `stat`, the volume's folder on this host is measured instead, provided the engine is here.
        """
        if container.shown_by:  # a process of this machine, which docker does not know
            return self._ask(mount.source, mount.name, "this host")
        here = not container.context and engine_is_here()
        if container.running or not here:
            through = (*container.docker, "exec", container.id)
            try:
                return self._ask(mount.destination, mount.name, f"container {container.name}", *through)
            except Unverifiable:
                if not here:
                    raise
        return self._ask(mount.source, mount.name, "this host")

    def _ask(self, path: str, name: str, source: str, *through: str) -> FileSystem:
        try:
            text = run_command(
                [*through, "stat", "-f", "-c", FORMAT, path],
                what=f"file system of {name}",
                deadline=Deadline(self._seconds),
            )
            return file_system_of(name, text)
        except ActionFailed as failure:
            observed = str(failure.observed)
        except ValueError:
            observed = repr(text[:200]) if text else "none"
        raise Unverifiable(
            what=f"file system of {name}",
            expected="its figures",
            observed=observed,
            source=f"stat -f {path}, {source}",
            hint="see that the path exists there, and that the image has the program stat",
        )


def file_system_of(name: str, text: str) -> FileSystem:
    """Return the file system called `name`, by what `stat` printed by `FORMAT`; else raises `ValueError`."""
    block, blocks, free, available, inodes, inodes_free = map(int, text.split())
    usable = blocks - free + available
    return FileSystem(
        path=name,
        size=block * blocks,
        free_percent=100 * available / usable if usable else 0.0,
        inodes_free_percent=100 * inodes_free / inodes if inodes else None,
    )
