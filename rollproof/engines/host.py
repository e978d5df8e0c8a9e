"""Free space of file systems: this host's, and data volumes', seen from here or through a container.

Every question is asked by the program `stat`, which is ended at its deadline: asking the kernel directly
would hang with a dead network file system.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import testinfra

from rollproof.engines.engine import Container, Mount
from rollproof.errors import ActionFailed, Meaning, Unverifiable
from rollproof.profile.engines import HostProfile
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


# Seconds between signs of life, two of which may be missing.
_ALIVE = 3


@dataclass(frozen=True, slots=True)
class HostState:
    """What one host answered.

    `ahead` are the seconds that its clock is ahead of this machine's, by which it may be off by `uncertain`.
    `engine` is what its container engine calls itself, or "" if none answered, with the words in `refusal`.
    """

    file_systems: Sequence[FileSystem]
    memory_percent: float
    ahead: float
    uncertain: float
    engine: str = ""
    refusal: str = ""


def ask_host(name: str, profile: HostProfile) -> HostState:
    """Return the state of a host; each of its few questions has the deadline of the profile.

    Raises:
        Unverifiable: it cannot be reached, its key is not the known one, or an answer is not as expected.
    """
    host = _Host(name, profile)
    rooms = [host.file_system(path) for path in profile.paths]
    memory = host.memory_percent()
    ahead, uncertain = host.clock()
    engine, refusal = host.engine() if profile.engine else ("", "")
    return HostState(rooms, memory, ahead, uncertain, engine, refusal)


class _Host:
    def __init__(self, name: str, profile: HostProfile) -> None:
        self._name = name
        self._profile = profile
        self._seconds = f"{profile.deadline_seconds:g}"
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": f"{max(1.0, profile.deadline_seconds):.0f}",
            "ServerAliveInterval": _ALIVE,
        }
        config = profile.ssh_config
        self._host = testinfra.get_host(
            f"ssh://{profile.address}",
            ssh_config=None if config is None else str(config),
            ssh_extra_args=" ".join(f"-o {option}={value}" for option, value in options.items()),
            # No process of OpenSSH stays behind.
            controlpersist=0,
        )

    def file_system(self, path: str) -> FileSystem:
        text = self._answer("stat -f -c %s %s", FORMAT, path)
        try:
            return file_system_of(f"{path} of {self._name}", text)
        except ValueError:
            raise self._wrong("the figures of `stat -f`", text) from None

    def memory_percent(self) -> float:
        text = self._answer("cat /proc/meminfo")
        try:
            of = {
                key: int(value.split()[0]) for key, value in (line.split(":") for line in text.splitlines())
            }
            return 100 - 100 * of["MemAvailable"] / of["MemTotal"]
        except (KeyError, ValueError):
            raise self._wrong("the figures of /proc/meminfo", text) from None

    def clock(self) -> tuple[float, float]:
        asked = time.time()
        text = self._answer("date +%s", "%s.%N")
        answered = time.time()
        try:
            return float(text) - (asked + answered) / 2, (answered - asked) / 2
        except ValueError:
            raise self._wrong("a time", text) from None

    def engine(self) -> tuple[str, str]:
        code, output, errors = self._run("docker info --format %s", "{{.Name}} {{.ServerVersion}}")
        # Without an engine docker may end well all the same, and say nothing but its error.
        return (output, "") if output and not code else ("", errors or f"exit code {code}")

    def _answer(self, command: str, *words: str) -> str:
        code, output, errors = self._run(command, *words)
        if code:
            raise self._wrong("exit code 0", f"exit code {code} of {command.split(maxsplit=1)[0]}: {errors}")
        return output

    def _run(self, command: str, *words: str) -> tuple[int, str, str]:
        try:
            ran = self._host.run(f"timeout %s {command}", self._seconds, *words)
        except RuntimeError as error:  # the library's, of ssh's own exit code
            (failed,) = error.args
            raise self._wrong("a session of SSH", failed.stderr.strip()) from None
        return ran.rc, ran.stdout.strip(), ran.stderr.strip()

    def _wrong(self, expected: str, observed: str) -> Unverifiable:
        config = "" if self._profile.ssh_config is None else f"-F {self._profile.ssh_config} "
        return Unverifiable(
            what=f"host {self._name}",
            expected=expected,
            # Of several lines of OpenSSH the last one is the reason.
            observed=observed.splitlines()[-1] if observed else "none",
            source=f"ssh {self._profile.address}",
            hint=f"ssh {config}-o BatchMode=yes {self._profile.address} true",
            means=Meaning.UNREACHABLE,
        )
